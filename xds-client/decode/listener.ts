/** LDS: listeners, their filter chains and listener filters. */
import type { MessageObject } from '../../protos/index.ts';
import type {
  FilterChain,
  Listener,
  ListenerFilterConfig,
  ListenerFilterPredicate,
  NetworkFilter,
  ProxyProtocol,
  SocketOptionConfig,
} from '../model/listener.ts';
import { plain } from '../model/plain.ts';
import type { DownstreamTls, TransportSocket } from '../model/tls.ts';
import { decodeAccessLogs } from './access-log.ts';
import { decodeAddress, duration, each, inside, requireIp } from './common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import {
  any,
  bytes,
  flag,
  has,
  message,
  messages,
  number,
  text,
  textOrNone,
  texts,
  word,
  wrappedFlag,
  wrappedNumber,
} from './fields.ts';
import { checkMatches, decodeFilterChainMatch } from './filter-chain-match.ts';

const LISTENER = 'envoy.config.listener.v3';
const NO_DISCOVERY = 'configurations of single filters are not asked for yet; give typed_config';

support(`${LISTENER}.Listener`, {
  acts: [
    'name',
    'address',
    'additional_addresses',
    'stat_prefix',
    'filter_chains',
    'default_filter_chain',
    'per_connection_buffer_limit_bytes',
    'deprecated_v1',
    'listener_filters',
    'listener_filters_timeout',
    'continue_on_listener_filters_timeout',
    'traffic_direction',
    'enable_reuse_port',
    'access_log',
    'tcp_backlog_size',
    'bind_to_port',
    'use_original_dst',
    'transparent',
    'freebind',
    'socket_options',
  ],
  ignored: {
    drain_type: 'listeners drain whenever the proxy does',
    metadata: "nothing reads a listener's metadata",
    tcp_fast_open_queue_length: 'TCP Fast Open is not set',
    connection_balance_config: 'the kernel spreads connections over the workers',
    reuse_port: 'enable_reuse_port says it',
    max_connections_to_accept_per_socket_event: 'Node takes what has arrived',
    enable_mptcp: 'connections use plain TCP',
    ignore_global_conn_limit: 'there is no global limit',
    bypass_overload_manager: 'there is no overload manager',
  },
  refused: {
    filter_chain_matcher: 'the generic matching tree is not built; use filter_chain_match',
    udp_listener_config: 'UDP is not built',
    api_listener: 'API listeners are of use to embedded clients alone',
    internal_listener: 'internal listeners are not built',
  },
});
support('envoy.config.core.v3.SocketOption', {
  acts: ['level', 'name', 'int_value', 'buf_value', 'state'],
  ignored: { description: 'a word for people' },
});
support(`${LISTENER}.Listener.DeprecatedV1`, { acts: ['bind_to_port'] });
support(`${LISTENER}.AdditionalAddress`, {
  acts: ['address'],
  ignored: { socket_options: 'Node sets no socket options of its own choice' },
});
support(`${LISTENER}.FilterChain`, {
  acts: ['filter_chain_match', 'filters', 'transport_socket', 'transport_socket_connect_timeout', 'name'],
  ignored: { metadata: "nothing reads a filter chain's metadata" },
  refused: {
    use_proxy_proto: 'PROXY protocol is not read',
    on_demand_configuration: 'filter chains are built with their listener',
  },
});
support(`${LISTENER}.Filter`, { acts: ['name', 'typed_config'], refused: { config_discovery: NO_DISCOVERY } });
support(`${LISTENER}.ListenerFilter`, {
  acts: ['name', 'typed_config', 'filter_disabled'],
  refused: { config_discovery: NO_DISCOVERY },
});
const PREDICATE = `${LISTENER}.ListenerFilterChainMatchPredicate`;
support(PREDICATE, { acts: ['or_match', 'and_match', 'not_match', 'any_match', 'destination_port_range'] });
support(`${PREDICATE}.MatchSet`, { acts: ['rules'] });
support('envoy.config.core.v3.TransportSocket', { acts: ['name', 'typed_config'] });
support('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector', {
  acts: [],
  ignored: {
    enable_ja3_fingerprinting: 'fingerprints are not made',
    initial_read_buffer_size: 'the buffer grows by itself',
  },
});
support('envoy.extensions.filters.listener.http_inspector.v3.HttpInspector', { acts: [] });
support('envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol', {
  acts: ['allow_requests_without_proxy_protocol', 'disallowed_versions', 'stat_prefix'],
  ignored: {
    rules: 'what else the header carries is checked and not kept',
    pass_through_tlvs: 'what else the header carries is checked and not kept',
  },
});
support('envoy.extensions.filters.listener.original_dst.v3.OriginalDst', { acts: [] });

export const TLS_INSPECTOR: Extension<ExtensionResults['listener-filter']> = {
  name: 'envoy.filters.listener.tls_inspector',
  type: 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
  decode: () => ({}),
};

export const HTTP_INSPECTOR: Extension<ExtensionResults['listener-filter']> = {
  name: 'envoy.filters.listener.http_inspector',
  type: 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector',
  decode: () => ({}),
};

/** Its place among the filters does not count: the header comes before everything else. */
export const PROXY_PROTOCOL: Extension<ExtensionResults['listener-filter']> = {
  name: 'envoy.filters.listener.proxy_protocol',
  type: 'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol',
  decode: (config) =>
    plain({
      allowRequestsWithoutProxyProtocol: flag(config, 'allow_requests_without_proxy_protocol'),
      disallowedVersions: texts(config, 'disallowed_versions').map((version) => (version === 'V2' ? 2 : 1)),
      statPrefix: text(config, 'stat_prefix'),
    } satisfies ProxyProtocol),
};

export const ORIGINAL_DST: Extension<ExtensionResults['listener-filter']> = {
  name: 'envoy.filters.listener.original_dst',
  type: 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
  decode: () => ({}),
};

function decodePredicate(predicate: MessageObject, ctx: DecodeContext): ListenerFilterPredicate {
  const rules = (field: string) =>
    messages(message(predicate, field), 'rules').map((rule) => decodePredicate(rule, ctx));
  if (has(predicate, 'or_match')) return { kind: 'or', rules: rules('or_match') };
  if (has(predicate, 'and_match')) return { kind: 'and', rules: rules('and_match') };
  const inner = message(predicate, 'not_match');
  if (inner !== undefined) return { kind: 'not', rule: decodePredicate(inner, ctx) };
  const range = message(predicate, 'destination_port_range');
  if (range !== undefined) return { kind: 'destination-port', from: number(range, 'start'), to: number(range, 'end') };
  return { kind: 'any' };
}

function decodeListenerFilter(filter: MessageObject, ctx: DecodeContext): ListenerFilterConfig | undefined {
  const name = text(filter, 'name');
  // The field is refused by its declaration.
  if (has(filter, 'config_discovery')) return undefined;
  const found = ctx.at('typed_config', () =>
    decodeExtension('listener-filter', any(filter, 'typed_config'), name, ctx),
  );
  if (found.kind !== 'acts') return undefined;
  const disabledWhen = inside(filter, 'filter_disabled', ctx, (predicate) => decodePredicate(predicate, ctx));
  return { name, typeUrl: found.type, config: found.value, disabledWhen };
}

interface DecodedFilter {
  readonly filter: NetworkFilter;
  readonly terminal: boolean;
  readonly type: string;
}

function decodeFilter(filter: MessageObject, ctx: DecodeContext): DecodedFilter | undefined {
  const name = text(filter, 'name');
  if (has(filter, 'config_discovery')) return undefined;
  const found = ctx.at('typed_config', () => decodeExtension('network-filter', any(filter, 'typed_config'), name, ctx));
  if (found.kind !== 'acts') return undefined;
  const { value, type } = found;
  if (value.kind === 'extension') {
    const extension = { name, typeUrl: type, config: value.config };
    return { filter: { kind: 'extension', name, extension }, terminal: value.terminal, type };
  }
  return { filter: { ...value, name }, terminal: true, type };
}

/** A chain ends with the one filter that takes the connection; an empty chain closes it. */
function decodeFilters(chain: MessageObject, ctx: DecodeContext): NetworkFilter[] {
  const filters: NetworkFilter[] = [];
  const last = messages(chain, 'filters').length - 1;
  each(chain, 'filters', ctx, (filter, index) => {
    const errorsBefore = ctx.errors.length;
    const decoded = decodeFilter(filter, ctx);
    const label = `filter named ${text(filter, 'name')} of type ${decoded?.type ?? 'unknown'}`;
    if (decoded?.terminal === true && index !== last) {
      ctx.error(`terminal ${label} must be the last filter in a network filter chain.`);
    }
    if (index === last && decoded?.terminal !== true && ctx.errors.length === errorsBefore) {
      ctx.error(`non-terminal ${label} is the last filter in a network filter chain.`);
    }
    if (decoded !== undefined) filters.push(decoded.filter);
  });
  return filters;
}

function decodeTransportSocket(chain: MessageObject, ctx: DecodeContext): TransportSocket<DownstreamTls> {
  const socket = inside(chain, 'transport_socket', ctx, (value) =>
    decodeExtension('downstream-transport-socket', any(value, 'typed_config'), text(value, 'name'), ctx),
  );
  return socket?.kind === 'acts' ? socket.value : { kind: 'raw' };
}

function decodeFilterChain(chain: MessageObject, ctx: DecodeContext): FilterChain {
  return {
    name: text(chain, 'name'),
    match: ctx.at('filter_chain_match', () => decodeFilterChainMatch(message(chain, 'filter_chain_match'), ctx)),
    filters: decodeFilters(chain, ctx),
    transportSocket: decodeTransportSocket(chain, ctx),
    transportSocketConnectTimeoutMs: duration(chain, 'transport_socket_connect_timeout', ctx),
  };
}

const DIRECTIONS: { readonly [direction: string]: Listener['trafficDirection'] } = {
  INBOUND: 'inbound',
  OUTBOUND: 'outbound',
};

const DEFAULT_BUFFER = 1_048_576;

function decodeBindToPort(listener: MessageObject): boolean {
  return (
    wrappedFlag(listener, 'bind_to_port') ?? wrappedFlag(message(listener, 'deprecated_v1'), 'bind_to_port') ?? true
  );
}

function decodeSocketOptions(listener: MessageObject, ctx: DecodeContext): SocketOptionConfig[] {
  return each(listener, 'socket_options', ctx, (option) => {
    if (word(option, 'state', 'STATE_PREBIND') !== 'STATE_PREBIND') {
      ctx.error('is not supported: options are set before the socket is bound', 'state');
    }
    const value = bytes(option, 'buf_value')?.toString('base64') ?? number(option, 'int_value');
    return { level: number(option, 'level'), name: number(option, 'name'), value };
  });
}

/** envoy Listener. */
export function decodeListener(listener: MessageObject, ctx: DecodeContext): Listener {
  const address = ctx.at('address', () => decodeAddress(message(listener, 'address'), ctx));
  if (!has(listener, 'address') && !has(listener, 'api_listener')) ctx.error('address is necessary', 'address');
  ctx.at('address', () => requireIp(address, '', ctx));
  const filterChains = each(listener, 'filter_chains', ctx, (chain) => decodeFilterChain(chain, ctx));
  const defaultFilterChain = inside(listener, 'default_filter_chain', ctx, (chain) => decodeFilterChain(chain, ctx));
  if (filterChains.length === 0 && defaultFilterChain === undefined) {
    ctx.error(`error adding listener '${text(listener, 'name')}': no filter chains specified`);
  }
  checkMatches(filterChains, ctx);
  const socketOptions = decodeSocketOptions(listener, ctx);
  return {
    name: text(listener, 'name'),
    address,
    additionalAddresses: each(listener, 'additional_addresses', ctx, (additional) =>
      ctx.at('address', () => decodeAddress(message(additional, 'address'), ctx)),
    ),
    bindToPort: decodeBindToPort(listener),
    useOriginalDst: wrappedFlag(listener, 'use_original_dst') ?? false,
    transparent: wrappedFlag(listener, 'transparent') ?? false,
    freebind: wrappedFlag(listener, 'freebind') ?? false,
    ...(socketOptions.length > 0 ? { socketOptions } : {}),
    statPrefix: textOrNone(listener, 'stat_prefix'),
    filterChains,
    defaultFilterChain,
    listenerFilters: each(listener, 'listener_filters', ctx, (filter) => decodeListenerFilter(filter, ctx)).filter(
      (filter) => filter !== undefined,
    ),
    listenerFiltersTimeoutMs: duration(listener, 'listener_filters_timeout', ctx) ?? 15_000,
    continueOnListenerFiltersTimeout: flag(listener, 'continue_on_listener_filters_timeout'),
    perConnectionBufferLimitBytes: wrappedNumber(listener, 'per_connection_buffer_limit_bytes') ?? DEFAULT_BUFFER,
    drainType: word(listener, 'drain_type', 'DEFAULT') === 'MODIFY_ONLY' ? 'modify-only' : 'default',
    tcpBacklogSize: wrappedNumber(listener, 'tcp_backlog_size'),
    trafficDirection: DIRECTIONS[word(listener, 'traffic_direction', 'UNSPECIFIED')] ?? 'unspecified',
    accessLogs: decodeAccessLogs(listener, 'access_log', ctx),
    enableReusePort: wrappedFlag(listener, 'enable_reuse_port') ?? true,
  };
}
