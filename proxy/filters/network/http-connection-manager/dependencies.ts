/** What a worker gives its connection managers, all of it from outside: no global, no clock, no randomness of their own. */
import type { AccessLogFactory } from '../../../observe/access-log/contract.ts';
import type { TracerFactory } from '../../../observe/tracing/contract.ts';
import type { RouteTable } from '../../../route/table.ts';
import type { TimerWheel } from '../../../timers.ts';
import type { ClusterTable } from '../../../upstream/contract.ts';
import type { HttpFilterFactory, Runtime, ServerState } from '../../http/contract.ts';

/** HTTP filters by the type of their configuration, without `type.googleapis.com/`. The router is not among them. */
export interface HttpFilters {
  get(typeUrl: string): HttpFilterFactory | undefined;
}

/** The worker's route tables by name (RDS). Read once a request, so that an update applies at once. */
export interface RouteTables {
  get(name: string): RouteTable | undefined;
}

export interface ManagerDependencies {
  readonly clusters: ClusterTable;
  readonly routeTables: RouteTables;
  readonly accessLogs: AccessLogFactory;
  /** `undefined`: no tracing at all. */
  readonly tracers: TracerFactory | undefined;
  readonly httpFilters: HttpFilters;
  readonly timers: TimerWheel;
  readonly runtime: Runtime;
  readonly server: ServerState;
  /** The machine's own address, for `x-forwarded-for` where the client is on loopback. */
  readonly nodeAddress: string;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  /** A UUID of version 4. */
  requestId(): string;
}
