import { HalfOfEnvoy, saturate } from '../lib/measure.ts';
import type { Row } from '../lib/row.ts';

const PEERS = ['envoy', 'tollway', 'haproxy', 'nginx'] as const;

const half = new HalfOfEnvoy();

export const rows: readonly Row[] = [
  {
    name: 'h1',
    what: "HTTP/1.1, 64 connections, 100-byte bodies; latency at half of Envoy's saturation",
    peers: PEERS,
    goals: [
      { figure: 'cpuMicros', kind: 'ratio', limit: 0.5 },
      { figure: 'p50Ms', kind: 'ratio', limit: 1.0 },
      { figure: 'p99Ms', kind: 'ratio', limit: 1.0 },
    ],
    start: (peer, stage, quick) => saturate(peer, stage, {}, { connections: 64, path: '/100', rate: half }, quick),
  },
  {
    name: 'h1-16k',
    what: 'HTTP/1.1, 64 connections, 16 KiB bodies',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.6 }],
    start: (peer, stage, quick) => saturate(peer, stage, {}, { connections: 64, path: '/16k' }, quick),
  },
  {
    name: 'h1-1m',
    what: 'HTTP/1.1, 64 connections, 1 MiB bodies',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.95 }],
    start: (peer, stage, quick) => saturate(peer, stage, {}, { connections: 64, path: '/1m' }, quick),
  },
  {
    name: 'mtls-out',
    what: 'HTTP/1.1, 64 connections, 100-byte bodies, mTLS toward the upstream; latency at 4,000 requests a second',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.65 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tlsOut: true }, { connections: 64, path: '/100', rate: 4_000 }, quick),
  },
  {
    name: 'mtls-in',
    what: 'the same, mTLS from the downstream',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.65 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tlsIn: true }, { connections: 64, path: '/100', rate: 4_000 }, quick),
  },
];
