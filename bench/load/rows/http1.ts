import { saturate } from '../lib/measure.ts';
import type { Row } from '../lib/row.ts';

const ALL = ['envoy', 'tollway', 'haproxy', 'nginx'] as const;

export const rows: readonly Row[] = [
  {
    name: 'h1',
    what: 'HTTP/1.1, 64 connections, 100-byte bodies; latency at 4,000 requests a second',
    peers: ALL,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.6 }],
    start: (peer, stage, quick) => saturate(peer, stage, {}, { connections: 64, path: '/100', rate: 4_000, quick }),
  },
  {
    name: 'mtls-out',
    what: 'the same, mTLS toward the upstream',
    peers: ALL,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.7 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tlsOut: true }, { connections: 64, path: '/100', rate: 4_000, quick }),
  },
  {
    name: 'mtls-in',
    what: 'the same, mTLS from the downstream',
    peers: ALL,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.7 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tlsIn: true }, { connections: 64, path: '/100', rate: 4_000, quick }),
  },
];
