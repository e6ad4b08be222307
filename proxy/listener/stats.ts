/** Envoy's statistics of a listener, and of the inspectors. */
import type { Address } from '../../xds-client/model/common.ts';
import type { Listener } from '../../xds-client/model/listener.ts';
import type { Histogram, StatBlock, StatsStore } from '../observe/stats/contract.ts';
import { family, indices } from '../observe/stats/families.ts';

const COUNTERS = [
  'downstream_cx_destroy',
  // Tollway's own, where one port takes both: peers that proved who they are; TLS without that, or passed through; neither
  'downstream_cx_mtls',
  'downstream_cx_overflow',
  'downstream_cx_overload_reject',
  'downstream_cx_plaintext',
  'downstream_cx_tls',
  'downstream_cx_total',
  'downstream_cx_transport_socket_connect_timeout',
  'downstream_global_cx_overflow',
  'downstream_listener_filter_error',
  'downstream_listener_filter_remote_close',
  'downstream_pre_cx_timeout',
  'extension_config_missing',
  'network_extension_config_missing',
  'no_filter_chain_match',
] as const;
const GAUGES = ['downstream_cx_active', 'downstream_pre_cx_active'] as const;
/** Under `listener.<address>.`. */
export const LISTENER_STATS = family(COUNTERS, GAUGES);
/** Indices in `LISTENER_STATS`. */
export const LISTENER = indices([...COUNTERS, ...GAUGES]);

const WORKER_COUNTERS = ['downstream_cx_total'] as const;
const WORKER_GAUGES = ['downstream_cx_active'] as const;
/** Under `listener.<address>.worker_<n>.`. */
export const LISTENER_WORKER_STATS = family(WORKER_COUNTERS, WORKER_GAUGES);
export const LISTENER_WORKER = indices([...WORKER_COUNTERS, ...WORKER_GAUGES]);

/** Under `listener.<address>.server_ssl_socket_factory.`. */
export { SSL_FACTORY, SSL_FACTORY_STATS } from '../tls/stats.ts';

const TLS_INSPECTOR_COUNTERS = [
  'alpn_found',
  'alpn_not_found',
  'client_hello_too_large',
  'sni_found',
  'sni_not_found',
  'tls_found',
  'tls_not_found',
] as const;
/** Under `tls_inspector.`. */
export const TLS_INSPECTOR_STATS = family(TLS_INSPECTOR_COUNTERS, []);
export const TLS_INSPECTOR = indices(TLS_INSPECTOR_COUNTERS);

const HTTP_INSPECTOR_COUNTERS = [
  'http10_found',
  'http11_found',
  'http2_found',
  'http_not_found',
  'read_error',
] as const;
/** Under `http_inspector.`. */
export const HTTP_INSPECTOR_STATS = family(HTTP_INSPECTOR_COUNTERS, []);
export const HTTP_INSPECTOR = indices(HTTP_INSPECTOR_COUNTERS);

const PROXY_PROTOCOL_COUNTERS = [
  'not_found_allowed',
  'not_found_disallowed',
  'versions.v1.disallowed',
  'versions.v1.error',
  'versions.v1.found',
  'versions.v2.disallowed',
  'versions.v2.error',
  'versions.v2.found',
] as const;
/** Under `proxy_proto.` or `proxy_proto.<stat_prefix>.`. */
export const PROXY_PROTOCOL_STATS = family(PROXY_PROTOCOL_COUNTERS, []);
export const proxyProtocolStat = (name: (typeof PROXY_PROTOCOL_COUNTERS)[number]): number =>
  PROXY_PROTOCOL_COUNTERS.indexOf(name);
/** Under no prefix. */
export const PROXY_ERROR_STATS = family(['downstream_cx_proxy_proto_error'], []);

/** `listener.127.0.0.1_10000.`, `listener.[__1]_80.`, `listener./run/x.sock.` or the configured prefix. */
export function listenerStatPrefix(listener: Listener): string {
  const name = listener.statPrefix;
  return `listener.${name === undefined || name === '' ? statAddress(listener.address) : name.replaceAll(':', '_')}.`;
}

function statAddress(address: Address): string {
  if (address.kind === 'pipe') return address.path.replaceAll(':', '_');
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`.replaceAll(':', '_');
}

/** One listener's cells in a worker, kept through updates of its configuration. */
export class ListenerStats {
  readonly prefix: string;
  readonly block: StatBlock;
  readonly worker: StatBlock;
  readonly lengthMs: Histogram;

  constructor(prefix: string, workerIndex: number, store: StatsStore) {
    this.prefix = prefix;
    this.block = store.block(prefix, LISTENER_STATS);
    this.worker = store.block(`${prefix}worker_${workerIndex}.`, LISTENER_WORKER_STATS);
    this.lengthMs = store.histogram(`${prefix}downstream_cx_length_ms`);
  }

  opened(): void {
    this.block.inc(LISTENER.DOWNSTREAM_CX_TOTAL);
    this.block.inc(LISTENER.DOWNSTREAM_CX_ACTIVE);
    this.worker.inc(LISTENER_WORKER.DOWNSTREAM_CX_TOTAL);
    this.worker.inc(LISTENER_WORKER.DOWNSTREAM_CX_ACTIVE);
  }

  closed(lengthMs: number): void {
    this.block.inc(LISTENER.DOWNSTREAM_CX_DESTROY);
    this.block.add(LISTENER.DOWNSTREAM_CX_ACTIVE, -1);
    this.worker.add(LISTENER_WORKER.DOWNSTREAM_CX_ACTIVE, -1);
    this.lengthMs.record(lengthMs);
  }

  release(): void {
    this.block.release();
    this.worker.release();
  }
}
