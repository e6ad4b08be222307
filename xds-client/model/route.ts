import type { ExtensionConfig, Fraction, HeaderChanges, HeaderMatch, Metadata, StringMatch } from './common.ts';
import type { CorsPolicy } from './filters/cors.ts';

/** How a path is matched. Prefix and exact forms keep the query string out of the comparison. */
export type PathMatch =
  | { readonly kind: 'prefix'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'exact'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly value: string }
  /** `/a` matches `/a` and `/a/b`, never `/ab`. */
  | { readonly kind: 'path-separated-prefix'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'uri-template'; readonly value: string }
  | { readonly kind: 'connect' };

export interface QueryParameterMatch {
  readonly name: string;
  /** `undefined`: present, whatever its value. */
  readonly match: StringMatch | undefined;
  readonly present: boolean | undefined;
}

export interface RouteMatch {
  readonly path: PathMatch;
  readonly headers: readonly HeaderMatch[];
  readonly queryParameters: readonly QueryParameterMatch[];
  readonly grpc: boolean;
  readonly fraction: Fraction | undefined;
  /** TLS context constraints: `undefined` members do not constrain. */
  readonly tls: { readonly presented: boolean | undefined; readonly validated: boolean | undefined } | undefined;
}

export type HashPolicy = (
  | { readonly kind: 'header'; readonly name: string }
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly ttlMs: number | undefined;
      readonly path: string | undefined;
    }
  | { readonly kind: 'source-ip' }
  | { readonly kind: 'query-parameter'; readonly name: string }
) & { readonly terminal: boolean };

/** envoy RetryPolicy. Conditions are Envoy's words (`5xx`, `connect-failure`, ...), HTTP's and gRPC's in one list. */
export interface RetryPolicy {
  readonly on: readonly string[];
  /** Retries, not attempts. */
  readonly numRetries: number;
  readonly perTryTimeoutMs: number | undefined;
  readonly perTryIdleTimeoutMs: number | undefined;
  readonly retriableStatusCodes: readonly number[];
  readonly retriableHeaders: readonly HeaderMatch[];
  readonly retriableRequestHeaders: readonly HeaderMatch[];
  /** Default 25 ms base, 10 times that as the maximum. */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  readonly rateLimitedBackoff:
    | {
        readonly maxMs: number;
        readonly resetHeaders: readonly { readonly name: string; readonly format: 'seconds' | 'unix-timestamp' }[];
      }
    | undefined;
  readonly avoidPreviousHosts: boolean;
  readonly previousPriorities: boolean;
  readonly hostSelectionMaxAttempts: number;
}

export interface WeightedCluster {
  readonly name: string;
  readonly weight: number;
  readonly headers: HeaderChanges;
  readonly hostRewrite: string | undefined;
  readonly metadataMatch: Metadata | undefined;
  readonly perFilterConfig: { readonly [filterName: string]: ExtensionConfig };
}

/** A replacement by an RE2 pattern; `substitution` uses `\1`. */
export interface RegexRewrite {
  readonly regex: string;
  readonly substitution: string;
}

/** What the route that a redirect leads to has to be. */
export type RedirectPredicate =
  /** None that a redirect of this route has led to before. */
  | { readonly kind: 'previous-routes' }
  | { readonly kind: 'allow-listed-routes'; readonly names: readonly string[] }
  /** Not https for a caller that came by http. */
  | { readonly kind: 'safe-cross-scheme' };

/** envoy InternalRedirectPolicy: redirects of the upstream that are followed here. */
export interface InternalRedirect {
  readonly maxRedirects: number;
  readonly codes: readonly number[];
  readonly predicates: readonly RedirectPredicate[];
  readonly allowCrossScheme: boolean;
  /** Lower case. Of the redirect, into the next request. */
  readonly headersToCopy: readonly string[];
}

/** Of a route: which protocols a request may become. */
export interface RouteUpgrade {
  /** Lower case. */
  readonly type: string;
  readonly enabled: boolean;
  /** CONNECT ends here, and its bytes go to the cluster as they are. `allowPost`: those of a POST too. */
  readonly connect: { readonly allowPost: boolean } | undefined;
}

/** The `route` action. */
export interface RouteAction {
  readonly kind: 'route';
  /** The deprecated field: the CORS filter's, where no place of the route configures it. */
  readonly cors?: CorsPolicy | undefined;
  readonly cluster:
    | { readonly kind: 'name'; readonly name: string }
    | { readonly kind: 'header'; readonly header: string }
    | {
        readonly kind: 'weighted';
        readonly clusters: readonly WeightedCluster[];
        readonly totalWeight: number;
        readonly headerName: string | undefined;
      };
  readonly clusterNotFoundStatus: 404 | 500 | 503;
  readonly prefixRewrite: string | undefined;
  readonly regexRewrite: RegexRewrite | undefined;
  readonly hostRewrite:
    | undefined
    | { readonly kind: 'literal'; readonly value: string }
    | { readonly kind: 'auto' }
    | { readonly kind: 'header'; readonly name: string }
    | { readonly kind: 'path-regex'; readonly rewrite: RegexRewrite };
  readonly appendXForwardedHost: boolean;
  /** Default 15 000; 0: none. */
  readonly timeoutMs: number;
  /** `undefined`: the connection manager's. */
  readonly idleTimeoutMs: number | undefined;
  /** `max_stream_duration` is there, and takes the place of `timeout`. */
  readonly usesStreamDuration: boolean;
  /** `undefined`: the connection manager's. 0: none. */
  readonly maxStreamDurationMs: number | undefined;
  /** `undefined`: `grpc-timeout` is not looked at. 0: no upper bound. */
  readonly grpcTimeoutHeaderMaxMs: number | undefined;
  readonly grpcTimeoutOffsetMs: number;
  /** `undefined`: the virtual host's. */
  readonly retry: RetryPolicy | undefined;
  readonly hash: readonly HashPolicy[];
  readonly priority: 'default' | 'high';
  readonly metadataMatch: Metadata | undefined;
  readonly mirrors: readonly {
    readonly cluster: string;
    readonly fraction: Fraction | undefined;
    readonly traceSampled: boolean | undefined;
  }[];
  readonly upgrades: readonly RouteUpgrade[];
  /** `undefined`: redirects of the upstream go to the caller. */
  readonly internalRedirect: InternalRedirect | undefined;
}

export interface RedirectAction {
  readonly kind: 'redirect';
  readonly scheme: string | undefined;
  readonly httpsRedirect: boolean;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly path: string | undefined;
  readonly prefixRewrite: string | undefined;
  readonly regexRewrite: RegexRewrite | undefined;
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly stripQuery: boolean;
}

export interface DirectResponseAction {
  readonly kind: 'direct-response';
  readonly status: number;
  /** Read at decode time; base64 of the bytes. */
  readonly bodyBase64: string;
}

/** `non-forwarding`: accepted, answers 404 as Envoy does without an action that it can take. */
export type RouteActionKind = RouteAction | RedirectAction | DirectResponseAction | { readonly kind: 'non-forwarding' };

export interface Route {
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: RouteActionKind;
  readonly headers: HeaderChanges;
  readonly metadata: Metadata;
  readonly decorator: { readonly operation: string; readonly propagate: boolean } | undefined;
  readonly perFilterConfig: { readonly [filterName: string]: ExtensionConfig };
  readonly statPrefix: string | undefined;
  readonly perRequestBufferLimitBytes: number | undefined;
}

export interface VirtualCluster {
  readonly name: string;
  readonly headers: readonly HeaderMatch[];
}

export interface VirtualHost {
  readonly name: string;
  /** As in RouteAction. */
  readonly cors?: CorsPolicy | undefined;
  /** Lower case. */
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
  readonly requireTls: 'none' | 'external' | 'all';
  readonly virtualClusters: readonly VirtualCluster[];
  readonly headers: HeaderChanges;
  readonly retry: RetryPolicy | undefined;
  readonly includeRequestAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
  readonly includeIsTimeoutRetryHeader: boolean;
  readonly perFilterConfig: { readonly [filterName: string]: ExtensionConfig };
  readonly perRequestBufferLimitBytes: number | undefined;
  readonly hedgeOnPerTryTimeout: boolean;
}

export interface RouteConfiguration {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
  readonly headers: HeaderChanges;
  readonly internalOnlyHeaders: readonly string[];
  readonly mostSpecificHeaderMutationsWins: boolean;
  readonly ignorePortInHostMatching: boolean;
  readonly validateClusters: boolean;
  readonly maxDirectResponseBodyBytes: number;
  readonly perFilterConfig: { readonly [filterName: string]: ExtensionConfig };
}
