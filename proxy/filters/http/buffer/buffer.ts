/**
 * Holds a request until it is whole, so that the upstream sees it at once and with its length. More than
 * `max_request_bytes` is answered with 413. A request that ends with its head passes at once.
 */
import type { BufferConfig, BufferRouteConfig } from '../../../../xds-client/model/filters/buffer.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { HeaderMap, RequestHead } from '../../../http/headers.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterStatus,
  type HttpFilter,
  type HttpFilterFactory,
  STOP,
} from '../contract.ts';

class BufferFilter implements HttpFilter {
  private readonly callbacks: FilterCallbacks;
  private readonly config: BufferConfig;
  /** Of the request that is held. */
  private headers: HeaderMap | undefined = undefined;
  private bytes = 0;

  constructor(callbacks: FilterCallbacks, config: BufferConfig) {
    this.callbacks = callbacks;
    this.config = config;
  }

  onRequestHead(head: RequestHead, end: boolean): FilterStatus {
    if (end) return CONTINUE;
    const config = this.configHere();
    if (config === undefined) return CONTINUE;
    this.callbacks.setRequestLimit(config.maxRequestBytes);
    this.headers = head.headers;
    return STOP;
  }

  onRequestData(chunk: Buffer, end: boolean): FilterStatus {
    if (this.headers === undefined) return CONTINUE;
    this.bytes += chunk.length;
    if (!end) return STOP;
    this.settleLength();
    return CONTINUE;
  }

  onRequestTrailers(): FilterStatus {
    this.settleLength();
    return CONTINUE;
  }

  /** The route's word, or the filter's own. */
  private configHere(): BufferConfig | undefined {
    const route = this.callbacks.perRouteConfig();
    return route === undefined ? this.config : fromPlain<BufferRouteConfig>(route).buffer;
  }

  /** The length is known now. */
  private settleLength(): void {
    const { headers } = this;
    if (headers === undefined || headers.has('content-length')) return;
    headers.remove('transfer-encoding');
    headers.add('content-length', String(this.bytes));
  }
}

export const BUFFER: HttpFilterFactory = {
  name: 'envoy.filters.http.buffer',
  typeUrl: 'envoy.extensions.filters.http.buffer.v3.Buffer',
  routeTypeUrl: 'envoy.extensions.filters.http.buffer.v3.BufferPerRoute',
  build(config) {
    const own = fromPlain<BufferConfig>(config);
    return { create: (callbacks) => new BufferFilter(callbacks, own) };
  },
};
