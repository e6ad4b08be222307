/** Configurations of network filters: what their decoders give and the filters read. */
import type { RuntimeFlag } from '../common.ts';
import type { RbacRules } from '../rbac.ts';

export interface DirectResponseConfig {
  readonly base64: string;
}

export interface ConnectionLimitConfig {
  readonly statPrefix: string;
  readonly maxConnections: number;
  /** How long a connection too many is kept waiting for its end; 0: not at all. */
  readonly delayMs: number;
  readonly enabled: RuntimeFlag;
}

export interface LocalRateLimitConfig {
  readonly statPrefix: string;
  readonly bucket: { readonly maxTokens: number; readonly tokensPerFill: number; readonly fillIntervalMs: number };
  readonly enabled: RuntimeFlag;
  /** Filters with the same key and bucket share it; empty: a bucket of its own. */
  readonly shareKey: string;
}

export interface NetworkRbacConfig {
  readonly statPrefix: string;
  /** `undefined`: everybody may pass, and nothing is counted. */
  readonly rules?: RbacRules;
  /** Judged and counted, and that is all. */
  readonly shadowRules?: RbacRules;
  readonly shadowStatPrefix: string;
  /** How long a refused connection is kept waiting for its end; 0: not at all. */
  readonly delayDenyMs: number;
}
