/** envoy.extensions.filters.http.buffer.v3.Buffer. */
export interface BufferConfig {
  readonly maxRequestBytes: number;
}

/** BufferPerRoute. `undefined`: the filter does nothing here. */
export interface BufferRouteConfig {
  readonly buffer?: BufferConfig;
}
