/** Bytes that tcp_proxy relays; the load speaks HTTP, which neither proxy knows. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { saturate, wishWithPorts } from '../lib/measure.ts';
import { type PeerName, startPeer } from '../lib/peers.ts';
import { residentBytes, stop } from '../lib/processes.ts';
import type { Figures, Row, Session } from '../lib/row.ts';
import type { Stage } from '../lib/stage.ts';

const PEERS = ['envoy', 'tollway'] as const;
const IDLE = 1_000;
/** Memory is read when the collector had time to rest. */
const SETTLE_MS = 3_000;

const cpuAtMost = (limit: number) => [{ figure: 'cpuMicros', kind: 'ratio', limit } as const];

async function startIdle(peer: PeerName, stage: Stage): Promise<Session> {
  const ports = await wishWithPorts(stage, { tcp: true });
  const started = await startPeer(peer, stage, ports);
  const resident = async (): Promise<number> => {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return residentBytes(started.process.pid) / 2 ** 20;
  };
  return {
    measure: async (): Promise<Figures> => {
      const before = await resident();
      const sockets: Socket[] = [];
      try {
        for (let at = 0; at < IDLE; at++) {
          const socket = connect(ports.port, '127.0.0.1');
          socket.on('error', () => undefined);
          sockets.push(socket);
          await once(socket, 'connect');
          // Each was in use once.
          socket.write('GET /100 HTTP/1.1\r\nHost: bench\r\n\r\n');
          await once(socket, 'data');
        }
        return { idleMb: (await resident()) - before, rssMb: residentBytes(started.process.pid) / 2 ** 20 };
      } finally {
        for (const socket of sockets) socket.destroy();
      }
    },
    close: () => stop(started.process),
  };
}

export const rows: readonly Row[] = [
  {
    name: 'tcp-download',
    what: 'TCP relay, 16 connections, 1 MiB to the caller',
    peers: PEERS,
    goals: cpuAtMost(0.8),
    start: (peer, stage, quick) => saturate(peer, stage, { tcp: true }, { connections: 16, path: '/1m' }, quick),
  },
  {
    name: 'tcp-upload',
    what: 'TCP relay, 16 connections, 1 MiB to the upstream',
    peers: PEERS,
    goals: cpuAtMost(0.8),
    start: (peer, stage, quick) => {
      const bodyPath = join(stage.folder, 'www', '1m');
      return saturate(peer, stage, { tcp: true }, { connections: 16, path: '/100', method: 'POST', bodyPath }, quick);
    },
  },
  {
    name: 'tcp-small',
    what: 'TCP relay, 16 connections, 100 bytes there and back',
    peers: PEERS,
    goals: cpuAtMost(1.0),
    start: (peer, stage, quick) => saturate(peer, stage, { tcp: true }, { connections: 16, path: '/100' }, quick),
  },
  {
    name: 'tcp-connections',
    what: 'TCP relay, a new connection for each 100 bytes, 16 at a time',
    peers: PEERS,
    goals: cpuAtMost(1.0),
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tcp: true }, { connections: 16, path: '/100', close: true }, quick),
  },
  {
    name: 'tcp-idle',
    what: `TCP relay, memory that ${IDLE} idle connections take which were in use once`,
    peers: PEERS,
    goals: [{ figure: 'idleMb', kind: 'ratio', limit: 1.0 }],
    start: (peer, stage) => startIdle(peer, stage),
  },
  {
    name: 'tls-relay',
    what: 'TCP relay, mTLS toward the upstream, 16 connections, 1 MiB to the caller',
    peers: PEERS,
    goals: cpuAtMost(0.95),
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tcp: true, tlsOut: true }, { connections: 16, path: '/1m' }, quick),
  },
  {
    name: 'tls-relay-in',
    what: 'TCP relay, mTLS from the caller, 16 connections, 16 KiB to the caller',
    peers: PEERS,
    goals: cpuAtMost(0.95),
    start: (peer, stage, quick) =>
      saturate(peer, stage, { tcp: true, tlsIn: true }, { connections: 16, path: '/16k' }, quick),
  },
];
