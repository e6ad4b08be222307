/** Two sidecars in a row, as a call crosses a mesh: plaintext in, mTLS between them, plaintext to the application. */
import { Collector } from '../../../deploy/local/collector.ts';
import type { HttpProxyWish } from '../lib/bootstraps.ts';
import { checked, cpuOf, warm } from '../lib/measure.ts';
import { type PeerName, type StartedPeer, startPeer } from '../lib/peers.ts';
import { cpuMicros, residentBytes, stop } from '../lib/processes.ts';
import type { Row, Session } from '../lib/row.ts';
import { freePort, type Stage } from '../lib/stage.ts';

interface Pair {
  readonly client: StartedPeer;
  readonly server: StartedPeer;
  readonly port: number;
  close(): Promise<void>;
}

async function startPair(peer: PeerName, stage: Stage): Promise<Pair> {
  const collector = await Collector.start();
  const started: StartedPeer[] = [];
  const close = async (): Promise<void> => {
    for (const { process } of started) await stop(process);
    collector.stop();
  };
  try {
    const [outPort, outAdmin, inPort, inAdmin] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    const telemetry = (side: string) => ({
      logPath: `${stage.folder}/${peer}-${side}.log`,
      tracePercent: 1,
      collectorPort: collector.port,
    });
    const inbound: HttpProxyWish = {
      port: inPort,
      adminPort: inAdmin,
      upstreamPort: stage.plainPort,
      tlsIn: true,
      telemetry: telemetry('in'),
    };
    const outbound: HttpProxyWish = {
      port: outPort,
      adminPort: outAdmin,
      upstreamPort: inPort,
      tlsOut: true,
      telemetry: telemetry('out'),
    };
    started.push(await startPeer(peer, stage, inbound));
    started.push(await startPeer(peer, stage, outbound));
    return { server: started[0] as StartedPeer, client: started[1] as StartedPeer, port: outPort, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const ISTIO = { connections: 16, rate: 1_000 };

async function istioWorkload(peer: PeerName, stage: Stage, quick: boolean): Promise<Session> {
  const { client, server, port, close } = await startPair(peer, stage);
  const url = `http://localhost:${port}/1k`;
  return warm(peer, { url, ...ISTIO }, quick, {
    measure: async (short) => {
      const seconds = short ? 2 : 10;
      const direct = await checked(peer, { url: `http://localhost:${stage.plainPort}/1k`, seconds, ...ISTIO });
      const before = [cpuMicros(client.process.pid), cpuMicros(server.process.pid)] as const;
      const through = await checked(peer, { url, seconds, ...ISTIO });
      return {
        addedP90Ms: through.p90 - direct.p90,
        addedP99Ms: through.p99 - direct.p99,
        clientCpu: (cpuMicros(client.process.pid) - before[0]) / 1e6 / seconds,
        serverCpu: (cpuMicros(server.process.pid) - before[1]) / 1e6 / seconds,
        clientRssMb: residentBytes(client.process.pid) / 2 ** 20,
        serverRssMb: residentBytes(server.process.pid) / 2 ** 20,
      };
    },
    close,
  });
}

async function sidecars(peer: PeerName, stage: Stage, quick: boolean): Promise<Session> {
  const { client, server, port, close } = await startPair(peer, stage);
  const wish = { url: `http://localhost:${port}/100`, connections: 64 };
  return warm(peer, wish, quick, { measure: (short) => cpuOf(peer, [client, server], wish, short), close });
}

export const rows: readonly Row[] = [
  {
    name: 'sidecars',
    what: 'both sidecars in a row, mTLS between them, JSON access log, 1 % traced; 64 connections, 100 bytes; CPU of the two together',
    peers: ['envoy', 'tollway'],
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.8 }],
    start: sidecars,
  },
  {
    name: 'istio',
    what: "Istio's published workload: 1 KiB, 1,000 requests a second, 16 connections, both sidecars, mTLS, telemetry; added to the direct path; CPU in cores a sidecar",
    peers: ['envoy', 'tollway'],
    goals: [{ figure: 'addedP99Ms', kind: 'ratio', limit: 1.0 }],
    start: istioWorkload,
  },
];
