/** What the admin interface shows and does, handed in by the wiring: the room itself knows no other but the statistics. */
import type { Address, Json } from '../../xds-client/model/common.ts';
import type { ClusterStatus } from '../cluster/contract.ts';
import type { MainStats } from '../observe/stats/main-stats.ts';
import type { TagRule } from '../observe/stats/tags.ts';

export type ServerState = 'LIVE' | 'DRAINING' | 'PRE_INITIALIZING' | 'INITIALIZING';

export interface ServerInfo {
  /** `<revision>/<version>/<Clean|Modified>/<RELEASE|DEBUG>/<TLS library>`. */
  readonly version: string;
  readonly state: ServerState;
  readonly uptimeSeconds: number;
  /** Envoy's CommandLineOptions as JSON; members that are not given get Envoy's defaults. */
  readonly commandLineOptions: { readonly [name: string]: Json };
  /** envoy.config.core.v3.Node as JSON. */
  readonly node: { readonly [name: string]: Json };
}

/** A refused update of a resource. */
export interface ErrorState {
  readonly details: string;
  readonly versionInfo: string;
  /** Milliseconds since the epoch. */
  readonly lastUpdateAttempt: number;
}

/** One resource as it was configured. */
export interface DumpedResource {
  readonly name: string;
  /** The resource as proto JSON with its `@type`; made when somebody asks. `undefined` while only an error is known. */
  readonly resource: (() => Json) | undefined;
  readonly versionInfo: string;
  /** Milliseconds since the epoch. */
  readonly lastUpdated: number;
  readonly state: 'active' | 'warming' | 'draining';
  readonly error: ErrorState | undefined;
}

export interface DumpedKind {
  /** Version of the last accepted response of that type; empty when there was none. */
  readonly versionInfo: string;
  readonly static: readonly DumpedResource[];
  readonly dynamic: readonly DumpedResource[];
}

export interface ConfigDump {
  readonly bootstrap: { readonly resource: () => Json; readonly lastUpdated: number };
  readonly clusters: DumpedKind;
  readonly listeners: DumpedKind;
  readonly routes: DumpedKind;
  readonly endpoints: DumpedKind;
  readonly secrets: DumpedKind;
}

/** A cluster with its endpoints, and whether the control plane brought it. */
export interface ShownCluster extends ClusterStatus {
  readonly addedViaApi: boolean;
}

export interface ListenerStatus {
  readonly name: string;
  /** As bound: a configured port 0 is the real one. The first is the listener's own, the others additional. */
  readonly addresses: readonly Address[];
}

/** One TLS context's public material; never a key. */
export interface CertificateStatus {
  readonly ca: ShownMaterial | undefined;
  /** Of each its first certificate is shown: the one that peers judge. */
  readonly chains: readonly ShownMaterial[];
}

export interface ShownMaterial {
  readonly path: string;
  readonly pem: string;
  /** Of an OCSP staple; milliseconds since the epoch. */
  readonly staple?: { readonly validFrom: number | undefined; readonly expiration: number | undefined };
}

/** A field that configurations carry and Tollway does not act on. */
export interface UnsupportedStatus {
  readonly field: string;
  readonly reason: string;
  readonly count: number;
  /** Some of the places, `listener inbound: filter_chains[0].…`. */
  readonly where: readonly string[];
}

export interface RuntimeStatus {
  readonly layers: readonly string[];
  readonly entries: {
    readonly [key: string]: { readonly finalValue: string; readonly layerValues: readonly string[] };
  };
}

export interface AdminActions {
  /** `/healthcheck/fail` and `/healthcheck/ok`. */
  setHealthFailing(failing: boolean): void;
  drainListeners(options: {
    readonly graceful: boolean;
    readonly inboundOnly: boolean;
    readonly skipExit: boolean;
  }): void;
  /** Called after the answer was written. */
  quit(): void;
  reopenLogs(): void;
  /** Sets and, with an empty value, removes overrides; false when the bootstrap has no admin layer. */
  modifyRuntime(changes: ReadonlyMap<string, string>): boolean;
  /** Changes one component's level, or all of them; false when the component is unknown. Levels are Envoy's words. */
  setLogLevel(component: string | undefined, level: string): boolean;
}

export interface AdminSources {
  readonly stats: MainStats;
  /** The bootstrap's `stats_config.stats_tags`. */
  readonly tagRules?: readonly TagRule[];
  serverInfo(): ServerInfo;
  configDump(): ConfigDump;
  clusters(): readonly ShownCluster[];
  listeners(): readonly ListenerStatus[];
  certificates(): readonly CertificateStatus[];
  unsupported(): readonly UnsupportedStatus[];
  runtime(): RuntimeStatus;
  /** Component to level. */
  logLevels(): ReadonlyMap<string, string>;
  readonly actions: AdminActions;
}
