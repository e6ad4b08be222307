import type { AccessLog } from './access-log.ts';
import type { Cluster } from './cluster.ts';
import type { Address, ConfigSource, GrpcService, Json } from './common.ts';
import type { Locality } from './endpoint.ts';
import type { IdentitySettings } from './identity.ts';
import type { Listener } from './listener.ts';
import type { Secret } from './tls.ts';

export interface Node {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: { readonly [key: string]: Json };
  readonly locality: Locality | undefined;
}

/** What Tollway reads of envoy.config.bootstrap.v3.Bootstrap. */
export interface Bootstrap {
  readonly node: Node;
  readonly listeners: readonly Listener[];
  readonly clusters: readonly Cluster[];
  readonly secrets: readonly Secret[];
  readonly lds: ConfigSource | undefined;
  readonly cds: ConfigSource | undefined;
  readonly ads: { readonly services: readonly GrpcService[]; readonly delta: boolean } | undefined;
  readonly admin: { readonly address: Address; readonly accessLogs: readonly AccessLog[] } | undefined;
  /** Where the workload's own certificate comes from; `undefined`: from where each resource says. */
  readonly identity: IdentitySettings | undefined;
  readonly statsFlushIntervalMs: number;
  readonly statsPrefix: string | undefined;
  /** Runtime layers, later ones win: key to value. */
  readonly runtime: { readonly [key: string]: Json };
}
