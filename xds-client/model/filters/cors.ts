import type { Fraction, StringMatch } from '../common.ts';

/**
 * envoy.extensions.filters.http.cors.v3.CorsPolicy, or the deprecated one of a route or virtual host. What a policy leaves
 * out (`undefined`, `''`, no origin) the next less specific one says.
 */
export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  /** `*`: those that the preflight asks for. */
  readonly allowMethods: string;
  readonly allowHeaders: string;
  readonly exposeHeaders: string;
  readonly maxAge: string;
  readonly allowCredentials?: boolean | undefined;
  readonly allowPrivateNetworkAccess?: boolean | undefined;
  readonly forwardNotMatchingPreflights?: boolean | undefined;
  /** `undefined`: all requests. */
  readonly enabled?: Fraction | undefined;
  /** Origins are counted and nothing else. `undefined`: no request. */
  readonly shadowEnabled?: Fraction | undefined;
}
