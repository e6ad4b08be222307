/** envoy.extensions.filters.http.grpc_stats.v3.FilterConfig. */
export interface GrpcStatsConfig {
  readonly emitFilterState: boolean;
  /** Whose names the statistics carry: every method's, or those of the list; the others' are counted without. */
  readonly methods: 'all' | readonly { readonly service: string; readonly methods: readonly string[] }[];
  /** `upstream_rq_time` is kept. */
  readonly upstreamTime: boolean;
  /** With `all`: a service's dots become underscores. */
  readonly replaceDots: boolean;
}
