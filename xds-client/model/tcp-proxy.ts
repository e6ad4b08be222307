import type { AccessLog } from './access-log.ts';

/** envoy TcpProxy. */
export interface TcpProxy {
  readonly statPrefix: string;
  readonly clusters: readonly { readonly name: string; readonly weight: number }[];
  /** 0: none. Default one hour. */
  readonly idleTimeoutMs: number;
  readonly maxConnectAttempts: number;
  readonly maxDownstreamConnectionDurationMs: number | undefined;
  readonly accessLogs: readonly AccessLog[];
}
