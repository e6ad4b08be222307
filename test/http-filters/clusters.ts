/** A worker's clusters and a route to one of them, for filters that look and send nothing. */
import { CLUSTER_STATS, statPrefix } from '../../proxy/cluster/stats.ts';
import type { MatchedRoute } from '../../proxy/filters/http/stream-ends.ts';
import type { StatsStore } from '../../proxy/observe/stats/contract.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import { compileRoutes } from '../../proxy/route/table.ts';
import type { ClusterHandle, ClusterTable } from '../../proxy/upstream/contract.ts';
import { cluster } from '../cluster/support.ts';
import { action, configuration, get, match, route, virtualHost } from '../route/build.ts';

/** Clusters of those names. */
export function clusterTable(names: readonly string[], stats: StatsStore = new MainStats()): ClusterTable {
  return clustersOf(Object.fromEntries(names.map((name) => [name, [1, 1] as const])), stats);
}

/** Clusters of so many endpoints, of which so many are there. */
export function clustersOf(
  members: { readonly [name: string]: readonly [total: number, available: number] },
  stats: StatsStore = new MainStats(),
): ClusterTable {
  const clusters = new Map(Object.entries(members).map(([name, of]) => [name, handle(name, of, stats)]));
  return { get: (name) => clusters.get(name) };
}

function handle(name: string, [total, available]: readonly [number, number], stats: StatsStore): ClusterHandle {
  const config = cluster(name);
  const unused = (): never => {
    throw new Error(`nothing is sent to cluster "${name}"`);
  };
  return {
    config,
    name,
    stats: stats.block(statPrefix(config), CLUSTER_STATS),
    choose: unused,
    membership: () => ({ total, available }),
    refusal: unused,
    newStream: unused,
    newTcpConnection: unused,
    tryAcquireRetry: unused,
    releaseRetry: unused,
    report: unused,
  };
}

/** What a request is matched to where everything goes to that cluster. */
export function matchedRoute(name: string): MatchedRoute {
  const all = route('all', match('/'), { action: action({ cluster: { kind: 'name', name } }) });
  const decision = compileRoutes(configuration([virtualHost('v', ['*'], [all])])).match(get('/'), undefined, 0);
  if (decision === undefined) throw new Error('a route of everything matches');
  return { decision, choice: { name, weighted: undefined } };
}
