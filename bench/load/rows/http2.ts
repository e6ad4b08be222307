/** HTTP/2 on both sides. nginx has none toward an upstream, and is left out. */
import { saturate } from '../lib/measure.ts';
import type { Row } from '../lib/row.ts';

const PEERS = ['envoy', 'tollway', 'haproxy'] as const;
const PLAIN = { http2: true };
const MTLS = { http2: true, tlsIn: true, tlsOut: true };

export const rows: readonly Row[] = [
  {
    name: 'h2-4x32',
    what: 'h2c to h2c, 4 connections of 32 streams, 100-byte bodies',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.75 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, PLAIN, { connections: 4, path: '/100', http2: { streams: 32 } }, quick),
  },
  {
    name: 'h2-64x1',
    what: 'h2c to h2c, 64 connections of one stream, 100-byte bodies',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.75 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, PLAIN, { connections: 64, path: '/100', http2: { streams: 1 } }, quick),
  },
  {
    name: 'grpc-unary',
    what: 'gRPC over mTLS on both sides, 4 connections of 32 streams: unary calls of 100 bytes, an id and a trace of its own each',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.75 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, MTLS, { connections: 4, path: '/', http2: { streams: 32, grpc: 'unary' } }, quick),
  },
  {
    name: 'grpc-stream',
    what: 'gRPC over mTLS on both sides, 4 connections of 32 streams that stay: messages of 100 bytes there and back; a request is a message',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.8 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, MTLS, { connections: 4, path: '/', http2: { streams: 32, grpc: 'stream' } }, quick),
  },
];
