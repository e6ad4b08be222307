/** Which cluster a route action goes to. */
import type { RouteAction, WeightedCluster } from '../../xds-client/model/route.ts';
import type { RequestHead } from '../http/headers.ts';

export interface ClusterChoice {
  /** `undefined`: `cluster_header` is not in the request. */
  readonly name: string | undefined;
  /** The weighted entry, for its own header changes, host rewrite and filter configuration. */
  readonly weighted: WeightedCluster | undefined;
}

const choices = new WeakMap<object, ClusterChoice>();

/** Chooses the cluster; `random` is in [0, 1). A choice by name or weight allocates nothing after its first time. */
export function chooseCluster(action: RouteAction, head: RequestHead, random: number): ClusterChoice {
  const { cluster } = action;
  if (cluster.kind === 'header') return { name: head.headers.get(cluster.header), weighted: undefined };
  const weighted = cluster.kind === 'weighted' ? pickWeighted(cluster, head, random) : undefined;
  const key = weighted ?? cluster;
  let choice = choices.get(key);
  if (choice === undefined) {
    choice = { name: cluster.kind === 'name' ? cluster.name : weighted?.name, weighted };
    choices.set(key, choice);
  }
  return choice;
}

function pickWeighted(
  cluster: Extract<RouteAction['cluster'], { kind: 'weighted' }>,
  head: RequestHead,
  random: number,
): WeightedCluster | undefined {
  let point = Math.floor(random * cluster.totalWeight);
  if (cluster.headerName !== undefined) {
    // The request itself brings the random number, so that every hop chooses alike.
    const given = Number(head.headers.get(cluster.headerName));
    if (Number.isSafeInteger(given) && given >= 0) point = given % cluster.totalWeight;
  }
  for (const entry of cluster.clusters) {
    point -= entry.weight;
    if (point < 0) return entry;
  }
  return undefined;
}
