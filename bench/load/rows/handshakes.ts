/** What connections cost that do not stay: a handshake a request, from downstreams and toward an upstream. */
import { saturate } from '../lib/measure.ts';
import type { Row } from '../lib/row.ts';

const PEERS = ['envoy', 'tollway'] as const;
const CONNECTIONS = 16;

export const rows: readonly Row[] = [
  {
    name: 'handshakes-in',
    what: 'a full mTLS handshake (P-256, TLS 1.3) from the downstream and one request, then the end; CPU a connection',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 1.4 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tlsIn: true }, { connections: CONNECTIONS, path: '/100', handshakes: 'full' }, quick),
  },
  {
    name: 'handshakes-resumed',
    what: 'the same, each connection with the session of the one before',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 1.4 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tlsIn: true }, { connections: CONNECTIONS, path: '/100', handshakes: 'resumed' }, quick),
  },
  {
    name: 'handshakes-out',
    what: 'requests of 16 warm connections to an mTLS upstream that closes after each response; sessions are used again',
    peers: PEERS,
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 1.2 }],
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tlsOut: true, upstreamCloses: true }, { connections: CONNECTIONS, path: '/100' }, quick),
  },
];
