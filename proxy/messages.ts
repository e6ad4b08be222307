/**
 * What crosses between the main thread and the workers. Main to worker: one message a change, the resource as a JSON
 * string (cheaper than a structured clone, and parsed in the worker) with the shared memory beside it. Worker to main:
 * batches, flushed at most every 100 ms, and acknowledgements.
 */
import type { LogLevel } from './log.ts';
import type { SpanRecord } from './observe/tracing/contract.ts';

/** Which listeners drain, by their traffic direction; `not-outbound` takes those without one along. */
export type DrainScope = 'all' | 'inbound' | 'not-outbound';

/** Main to worker. `json` members hold the model type named beside them. */
export type ToWorker =
  /**
   * Listener. Added, or changed in place. Answered by `listener-state`. `bound`: what another worker's sockets got, in
   * the order of its addresses, where the port was the kernel's choice.
   */
  | {
      readonly type: 'listener';
      readonly name: string;
      readonly json: string;
      readonly bound?: readonly string[];
    }
  | { readonly type: 'listener-removed'; readonly name: string; readonly drainMs: number }
  /** RouteConfiguration, for every RDS listener that names it. */
  | { readonly type: 'routes'; readonly name: string; readonly json: string }
  | { readonly type: 'routes-removed'; readonly name: string }
  /** Cluster, with its slots in `shared` (see proxy/cluster/shared.ts). */
  | { readonly type: 'cluster'; readonly name: string; readonly json: string; readonly slot: number }
  | { readonly type: 'cluster-removed'; readonly name: string }
  /** Assignment (of EDS, DNS or the cluster itself), whole; `slots` are the endpoints' in order of appearance. */
  | { readonly type: 'endpoints'; readonly cluster: string; readonly json: string; readonly slots: readonly number[] }
  /** The cluster's endpoints have other health flags. `failed`: slots of those that were healthy to their health checks. */
  | { readonly type: 'endpoint-health'; readonly cluster: string; readonly failed: readonly number[] }
  /** TLS material in PEM: never logged, never dumped. See certs/material.ts. */
  | { readonly type: 'secret'; readonly key: string; readonly json: string }
  | { readonly type: 'secret-removed'; readonly key: string }
  /** Another chunk of shared int32 cells. */
  | { readonly type: 'shared'; readonly index: number; readonly buffer: SharedArrayBuffer }
  | { readonly type: 'runtime'; readonly json: string }
  /** Start of a drain: responses end their connections, listeners go on accepting. */
  | {
      readonly type: 'drain';
      readonly scope: DrainScope;
      readonly strategy: 'gradual' | 'immediate';
      readonly drainMs: number;
    }
  /** Health check answers fail (`/healthcheck/fail`) or pass again. */
  | { readonly type: 'health'; readonly failing: boolean }
  /** Close the listening sockets; open connections go on. */
  | { readonly type: 'stop-listening'; readonly inboundOnly: boolean }
  /** Close everything that is open and answer `stopped`. */
  | { readonly type: 'stop' }
  /** A burst of configuration is over: a worker without requests under way gives back what it used up. */
  | { readonly type: 'settled' }
  | { readonly type: 'log-level'; readonly component: string | undefined; readonly level: LogLevel };

/** Worker to main. */
export type FromWorker =
  | { readonly type: 'ready' }
  | {
      readonly type: 'listener-state';
      readonly name: string;
      readonly state: 'listening';
      readonly addresses: readonly string[];
    }
  | { readonly type: 'listener-state'; readonly name: string; readonly state: 'failed'; readonly message: string }
  /** New statistics of this worker: see proxy/observe/stats/. */
  | { readonly type: 'stats'; readonly json: string; readonly buffers: readonly SharedArrayBuffer[] }
  /** An endpoint answered a request that it is not to be used any more: its health check fails at once. */
  | { readonly type: 'immediate-failure'; readonly cluster: string; readonly address: string }
  | { readonly type: 'access-log'; readonly sink: string; readonly lines: string }
  | { readonly type: 'spans'; readonly spans: readonly SpanRecord[] }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly component: string;
      readonly message: string;
      readonly fields: { readonly [key: string]: string | number | boolean };
    }
  /** Open connections and streams, for drain. */
  | { readonly type: 'drained'; readonly connections: number; readonly streams: number }
  | { readonly type: 'stopped' };
