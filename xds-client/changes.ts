/**
 * What the data path is told when the configuration changes. A list of changes is applied in its order, and at no point
 * in it does anything refer to what is not there yet, as far as the control plane gave it: secrets, clusters with their
 * endpoints, routes, listeners, then what goes away in the opposite order.
 */
import type { Cluster } from './model/cluster.ts';
import type { Assignment } from './model/endpoint.ts';
import type { Listener } from './model/listener.ts';
import type { RouteConfiguration } from './model/route.ts';
import type { Secret } from './model/tls.ts';

export type ConfigChange =
  /**
   * A secret came or changed: resolve it, then call `secretReady` with its key. Not for logs. `source`: wants.ts `sourceKey`,
   * or `STATIC_SOURCE` for the bootstrap's own.
   */
  | { readonly type: 'secret'; readonly name: string; readonly source: string; readonly secret: Secret }
  /**
   * Resolve this cluster's names from now on, instead of what was resolved under its name before, and call `dnsResolved`
   * with this very object. It may be warming: it is not served by this. Ends when the name is removed, or when a `cluster`
   * change brings it without DNS.
   */
  | { readonly type: 'resolve'; readonly name: string; readonly cluster: Cluster }
  /** What was warming under that name will not serve, and nothing of that name is resolved any more. */
  | { readonly type: 'resolve-ended'; readonly name: string }
  /**
   * Check the health of these endpoints of a cluster that warms, and call `healthChecked` with this very cluster object when
   * each was checked once. Said again with other endpoints when those change before.
   */
  | { readonly type: 'check'; readonly name: string; readonly cluster: Cluster; readonly assignment: Assignment }
  /** What was warming under that name will not serve: its checks end. */
  | { readonly type: 'check-ended'; readonly name: string }
  /** Serve the cluster, new or changed, with these endpoints. */
  | { readonly type: 'cluster'; readonly name: string; readonly cluster: Cluster; readonly assignment: Assignment }
  /** The endpoints of a cluster that is served. */
  | { readonly type: 'endpoints'; readonly name: string; readonly assignment: Assignment }
  | { readonly type: 'routes'; readonly name: string; readonly routes: RouteConfiguration }
  /** Serve the listener, new or changed. */
  | { readonly type: 'listener'; readonly name: string; readonly listener: Listener }
  | { readonly type: 'listener-removed'; readonly name: string }
  | { readonly type: 'routes-removed'; readonly name: string }
  | { readonly type: 'cluster-removed'; readonly name: string }
  /** Once: the first clusters and listeners serve, or their time is up. `/ready` says LIVE. */
  | { readonly type: 'initialized' };

const ORDER: { readonly [K in ConfigChange['type']]: number } = {
  secret: 0,
  // What begins and ends in one list ends after it began.
  resolve: 1,
  'resolve-ended': 1,
  check: 2,
  'check-ended': 2,
  cluster: 3,
  endpoints: 4,
  routes: 5,
  listener: 6,
  'listener-removed': 7,
  'routes-removed': 8,
  'cluster-removed': 9,
  initialized: 10,
};

/** Make before break. Stable: within a type the order of arrival stays. */
export function inServingOrder(changes: readonly ConfigChange[]): readonly ConfigChange[] {
  return changes.length < 2 ? changes : [...changes].sort((a, b) => ORDER[a.type] - ORDER[b.type]);
}
