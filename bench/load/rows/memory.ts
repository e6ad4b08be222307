/** Resident memory and time to ready, empty and with many services. */
import { manyServices } from '../lib/bootstraps.ts';
import { wishWithPorts } from '../lib/measure.ts';
import { type PeerName, startPeer } from '../lib/peers.ts';
import { residentBytes, stop } from '../lib/processes.ts';
import type { Figures, Row } from '../lib/row.ts';
import type { Stage } from '../lib/stage.ts';

const SERVICES = 2_000;
/** A start is not a request: it may use what a small machine has. */
const BOTH_CORES = '0,1';
/** Memory is read when the collector of either side had time to rest. */
const SETTLE_MS = 3_000;

async function start(
  peer: PeerName,
  stage: Stage,
  services: number,
): Promise<{ readonly readyMs: number; readonly rssMb: number }> {
  const { clusters, hosts } = manyServices(services);
  const started = await startPeer(
    peer,
    stage,
    await wishWithPorts(stage, { extraClusters: clusters, extraHosts: hosts }),
    BOTH_CORES,
  );
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return { readyMs: started.readyMs, rssMb: residentBytes(started.process.pid) / 2 ** 20 };
  } finally {
    await stop(started.process);
  }
}

async function measure(peer: PeerName, stage: Stage): Promise<Figures> {
  const empty = await start(peer, stage, 0);
  const full = await start(peer, stage, SERVICES);
  return {
    emptyRssMb: empty.rssMb,
    grownMb: full.rssMb - empty.rssMb,
    emptyReadyMs: empty.readyMs,
    fullReadyMs: full.readyMs,
  };
}

export const rows: readonly Row[] = [
  {
    name: 'memory',
    what: `resident memory and time to ready: empty, and grown by ${SERVICES} clusters of 10 endpoints and as many virtual hosts`,
    peers: ['envoy', 'tollway'],
    goals: [
      { figure: 'emptyRssMb', kind: 'difference', limit: 40 },
      { figure: 'grownMb', kind: 'ratio', limit: 0.4 },
      { figure: 'emptyReadyMs', kind: 'absolute', limit: 400 },
    ],
    start: async (peer, stage) => ({ measure: () => measure(peer, stage), close: async () => {} }),
  },
];
