/** Two sidecars in a row, as a call crosses a mesh: plaintext in, mTLS between them, plaintext to the application. */
import { Collector } from '../../../deploy/local/collector.ts';
import type { HttpProxyWish } from '../lib/bootstraps.ts';
import { checked, cpuOf, sum } from '../lib/measure.ts';
import { type PeerName, type StartedPeer, startPeer } from '../lib/peers.ts';
import { cpuMicros, residentBytes, stop } from '../lib/processes.ts';
import type { Figures, Row } from '../lib/row.ts';
import { freePort, type Stage } from '../lib/stage.ts';

interface Pair {
  readonly client: StartedPeer;
  readonly server: StartedPeer;
  readonly port: number;
}

async function withPair<T>(peer: PeerName, stage: Stage, body: (pair: Pair) => Promise<T>): Promise<T> {
  const collector = await Collector.start();
  const started: StartedPeer[] = [];
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
    return await body({ server: started[0] as StartedPeer, client: started[1] as StartedPeer, port: outPort });
  } finally {
    for (const { process } of started) await stop(process);
    collector.stop();
  }
}

const ISTIO = { connections: 16, rate: 1_000 };

async function istioWorkload(peer: PeerName, stage: Stage, quick: boolean): Promise<Figures> {
  const seconds = quick ? 2 : 10;
  const direct = await checked(peer, { url: `http://localhost:${stage.plainPort}/1k`, seconds, ...ISTIO });
  return withPair(peer, stage, async ({ client, server, port }) => {
    const url = `http://localhost:${port}/1k`;
    await checked(peer, { url, seconds: quick ? 1 : 3, ...ISTIO });
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
  });
}

export const rows: readonly Row[] = [
  {
    name: 'sidecars',
    what: 'both sidecars in a row, mTLS between them, JSON access log, 1 % traced; 64 connections, 100 bytes; CPU of the two together',
    peers: ['envoy', 'tollway'],
    goals: [{ figure: 'cpuMicros', kind: 'ratio', limit: 0.8 }],
    measure: (peer, stage, quick) =>
      withPair(peer, stage, async ({ client, server, port }) => {
        const figures = await cpuOf(
          peer,
          [client, server],
          { url: `http://localhost:${port}/100`, connections: 64 },
          quick,
        );
        return { ...figures, rssMb: sum([client, server], residentBytes) / 2 ** 20 };
      }),
  },
  {
    name: 'istio',
    what: "Istio's published workload: 1 KiB, 1,000 requests a second, 16 connections, both sidecars, mTLS, telemetry; added to the direct path; CPU in cores a sidecar",
    peers: ['envoy', 'tollway'],
    goals: [{ figure: 'addedP99Ms', kind: 'ratio', limit: 1.0 }],
    measure: istioWorkload,
  },
];
