import type { AccessLog } from './access-log.ts';
import type { Address, CidrRange, ExtensionConfig } from './common.ts';
import type { HttpConnectionManager } from './http-connection-manager.ts';
import type { TcpProxy } from './tcp-proxy.ts';
import type { DownstreamTls, TransportSocket } from './tls.ts';

/** envoy FilterChainMatch. An empty list matches everything; see proxy/listener/ for the order of precedence. */
export interface FilterChainMatch {
  readonly destinationPort: number | undefined;
  readonly prefixRanges: readonly CidrRange[];
  readonly serverNames: readonly string[];
  readonly transportProtocol: string | undefined;
  readonly applicationProtocols: readonly string[];
  readonly directSourcePrefixRanges: readonly CidrRange[];
  readonly sourceType: 'any' | 'same-ip-or-loopback' | 'external';
  readonly sourcePrefixRanges: readonly CidrRange[];
  readonly sourcePorts: readonly number[];
}

/** A network filter: the two that carry most traffic have models of their own, the others are extensions. */
export type NetworkFilter =
  | { readonly kind: 'http-connection-manager'; readonly name: string; readonly config: HttpConnectionManager }
  | { readonly kind: 'tcp-proxy'; readonly name: string; readonly config: TcpProxy }
  | { readonly kind: 'extension'; readonly name: string; readonly extension: ExtensionConfig };

/** When a listener filter is left out: `from` inclusive, `to` exclusive. */
export type ListenerFilterPredicate =
  | { readonly kind: 'any' }
  | { readonly kind: 'destination-port'; readonly from: number; readonly to: number }
  | { readonly kind: 'not'; readonly rule: ListenerFilterPredicate }
  | { readonly kind: 'and' | 'or'; readonly rules: readonly ListenerFilterPredicate[] };

export interface ListenerFilterConfig extends ExtensionConfig {
  /** `undefined`: the filter always runs. */
  readonly disabledWhen?: ListenerFilterPredicate | undefined;
}

/** envoy ProxyProtocol, the listener filter. */
export interface ProxyProtocol {
  readonly allowRequestsWithoutProxyProtocol: boolean;
  readonly disallowedVersions: readonly number[];
  readonly statPrefix: string;
}

export interface FilterChain {
  /** Not unique: istiod sends chains that share a name. Identity is the content. */
  readonly name: string;
  readonly match: FilterChainMatch;
  readonly filters: readonly NetworkFilter[];
  readonly transportSocket: TransportSocket<DownstreamTls>;
  readonly transportSocketConnectTimeoutMs: number | undefined;
}

/** A number, or bytes in base64, for `setsockopt`. */
export interface SocketOptionConfig {
  readonly level: number;
  readonly name: number;
  readonly value: number | string;
}

export interface Listener {
  readonly name: string;
  readonly address: Address;
  readonly additionalAddresses: readonly Address[];
  readonly bindToPort: boolean;
  readonly useOriginalDst: boolean;
  /** The listening socket takes connections to addresses that are not this machine's, as TPROXY sends them. */
  readonly transparent: boolean;
  /** Binds an address that no interface has yet. */
  readonly freebind: boolean;
  /** Set before the socket is bound; missing: none. */
  readonly socketOptions?: readonly SocketOptionConfig[];
  readonly statPrefix: string | undefined;
  readonly filterChains: readonly FilterChain[];
  readonly defaultFilterChain: FilterChain | undefined;
  readonly listenerFilters: readonly ListenerFilterConfig[];
  /** 0: no limit. Default 15 000. */
  readonly listenerFiltersTimeoutMs: number;
  readonly continueOnListenerFiltersTimeout: boolean;
  /** Default 1 MiB. */
  readonly perConnectionBufferLimitBytes: number;
  readonly drainType: 'default' | 'modify-only';
  readonly tcpBacklogSize: number | undefined;
  readonly trafficDirection: 'unspecified' | 'inbound' | 'outbound';
  readonly accessLogs: readonly AccessLog[];
  readonly enableReusePort: boolean;
}
