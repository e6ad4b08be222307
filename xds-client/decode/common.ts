/** The parts that several resources share: addresses, data and config sources, gRPC services, metadata, fractions. */
import { isIP, isIPv6 } from 'node:net';
import type { MessageObject } from '../../protos/index.ts';
import type {
  Address,
  CidrRange,
  ConfigSource,
  DataSource,
  Fraction,
  GrpcService,
  Metadata,
  RuntimeFlag,
} from '../model/common.ts';
import { type DecodeContext, support } from './context.ts';
import {
  bytes,
  entries,
  flag,
  has,
  isMessage,
  message,
  messages,
  milliseconds,
  number,
  text,
  textOrNone,
  word,
  wrappedFlag,
  wrappedNumber,
} from './fields.ts';
import { structToJson } from './struct.ts';

const CORE = 'envoy.config.core.v3';

support(`${CORE}.Address`, {
  acts: ['socket_address', 'pipe'],
  refused: { envoy_internal_address: 'internal listeners are not built' },
});
support(`${CORE}.SocketAddress`, {
  acts: ['protocol', 'address', 'port_value', 'ipv4_compat'],
  refused: { named_port: 'give port_value', resolver_name: 'custom address resolvers are not built' },
});
support(`${CORE}.Pipe`, { acts: ['path', 'mode'] });
support(`${CORE}.CidrRange`, { acts: ['address_prefix', 'prefix_len'] });
support(`${CORE}.Metadata`, {
  acts: ['filter_metadata'],
  ignored: { typed_filter_metadata: 'nothing reads typed metadata' },
});
support(`${CORE}.DataSource`, {
  acts: ['filename', 'inline_bytes', 'inline_string', 'environment_variable', 'watched_directory'],
});
support(`${CORE}.WatchedDirectory`, { acts: ['path'] });
support(`${CORE}.ConfigSource`, {
  acts: [
    'path',
    'path_config_source',
    'api_config_source',
    'ads',
    'self',
    'resource_api_version',
    'initial_fetch_timeout',
  ],
  ignored: { authorities: 'federation by authority is not built; every name is asked of the one management server' },
});
support(`${CORE}.PathConfigSource`, { acts: ['path', 'watched_directory'] });
support(`${CORE}.AggregatedConfigSource`, { acts: [] });
support(`${CORE}.SelfConfigSource`, { acts: ['transport_api_version'] });
support(`${CORE}.ApiConfigSource`, {
  acts: ['api_type', 'transport_api_version', 'grpc_services', 'set_node_on_first_message_only'],
  ignored: {
    cluster_names: 'of use to REST alone',
    refresh_delay: 'of use to REST alone',
    request_timeout: 'of use to REST alone',
    rate_limit_settings: 'discovery requests are not limited; reconnects back off',
    config_validators: 'custom validators are not built',
  },
});
support(`${CORE}.GrpcService`, {
  acts: ['envoy_grpc', 'timeout', 'initial_metadata'],
  ignored: { retry_policy: 'streams reconnect with back-off' },
  refused: { google_grpc: 'name a cluster with envoy_grpc' },
});
support(`${CORE}.GrpcService.EnvoyGrpc`, {
  acts: ['cluster_name', 'authority'],
  ignored: {
    retry_policy: 'streams reconnect with back-off',
    max_receive_message_length: 'messages of any size are taken',
    skip_envoy_headers: 'no Envoy headers are added to calls',
  },
});
support(`${CORE}.HeaderValue`, { acts: ['key', 'value', 'raw_value'] });
support(`${CORE}.RuntimeFractionalPercent`, { acts: ['default_value', 'runtime_key'] });
support(`${CORE}.RuntimeFeatureFlag`, {
  acts: ['default_value', 'runtime_key'],
});
support('envoy.type.v3.FractionalPercent', { acts: ['numerator', 'denominator'] });
support('envoy.type.v3.Percent', { acts: ['value'] });

export function decodeAddress(address: MessageObject | undefined, ctx: DecodeContext): Address {
  const pipe = message(address, 'pipe');
  if (pipe !== undefined) return decodePipe(pipe, ctx);
  return ctx.at('socket_address', () => decodeSocketAddress(message(address, 'socket_address'), ctx));
}

function decodePipe(pipe: MessageObject, ctx: DecodeContext): Address {
  const path = text(pipe, 'path');
  const mode = number(pipe, 'mode');
  if (mode === 0) return { kind: 'pipe', path };
  if (path.startsWith('@')) ctx.error('Cannot set mode for Abstract AF_UNIX sockets', 'pipe.mode');
  return { kind: 'pipe', path, mode };
}

/** envoy SocketAddress; UDP is refused. */
export function decodeSocketAddress(socket: MessageObject | undefined, ctx: DecodeContext): Address {
  if (word(socket, 'protocol', 'TCP') === 'UDP') ctx.error('is not supported: UDP is not built', 'protocol');
  const address = { kind: 'socket', host: text(socket, 'address'), port: number(socket, 'port_value') } as const;
  return flag(socket, 'ipv4_compat') && isIPv6(address.host) ? { ...address, ipv4Compat: true } : address;
}

/** The address has to be an IP: Envoy resolves names in DNS clusters alone. */
export function requireIp(address: Address, hint: string, ctx: DecodeContext): void {
  if (address.kind === 'socket' && address.host !== '' && isIP(address.host) === 0) {
    ctx.error(`malformed IP address: ${address.host}${hint}`, 'socket_address.address');
  }
}

/** A RuntimeFeatureFlag that switches something on: it is, unless the flag says otherwise. */
export function decodeEnabled(of: MessageObject | undefined, field: string): RuntimeFlag {
  const flag = message(of, field);
  return { value: wrappedFlag(flag, 'default_value') ?? true, key: textOrNone(flag, 'runtime_key') };
}

export function decodeCidr(range: MessageObject, ctx: DecodeContext): CidrRange {
  const address = text(range, 'address_prefix');
  const prefixLength = wrappedNumber(range, 'prefix_len') ?? 0;
  const family = isIP(address);
  if (family === 0 && address !== '') ctx.error(`malformed IP address: ${address}`, 'address_prefix');
  if (family === 4 && prefixLength > 32)
    ctx.error(`an IPv4 prefix has at most 32 bits, not ${prefixLength}`, 'prefix_len');
  return { address, prefixLength };
}

export function decodeCidrs(of: MessageObject | undefined, field: string, ctx: DecodeContext): CidrRange[] {
  return each(of, field, ctx, (range) => decodeCidr(range, ctx));
}

/** Runs `decode` on every element of a repeated message field, with the path at the element. */
export function each<T>(
  of: MessageObject | undefined,
  field: string,
  ctx: DecodeContext,
  decode: (element: MessageObject, index: number) => T,
): T[] {
  const list = messages(of, field);
  if (list.length === 0) return [];
  return ctx.at(field, () => list.map((element, index) => ctx.at(index, () => decode(element, index))));
}

/** Runs `decode` on a message field that is set, with the path at the field. */
export function inside<T>(
  of: MessageObject | undefined,
  field: string,
  ctx: DecodeContext,
  decode: (value: MessageObject) => T,
): T | undefined {
  const value = message(of, field);
  return value === undefined ? undefined : ctx.at(field, () => decode(value));
}

/** One object for the many resources that carry none. */
const NO_METADATA: Metadata = Object.freeze({});

export function decodeMetadata(of: MessageObject | undefined, field: string): Metadata {
  const metadata = message(of, field);
  if (metadata === undefined) return NO_METADATA;
  return Object.fromEntries(
    entries(metadata, 'filter_metadata').map(([namespace, struct]) => [
      namespace,
      structToJson(isMessage(struct) ? struct : undefined),
    ]),
  );
}

export function decodeDataSource(source: MessageObject): DataSource {
  if (has(source, 'filename')) {
    const watchedDirectory = textOrNone(message(source, 'watched_directory'), 'path');
    return { kind: 'file', path: text(source, 'filename'), watchedDirectory };
  }
  if (has(source, 'environment_variable')) {
    return { kind: 'environment', variable: text(source, 'environment_variable') };
  }
  const inline = bytes(source, 'inline_bytes') ?? Buffer.from(text(source, 'inline_string'));
  return { kind: 'inline', base64: inline.toString('base64') };
}

const GRPC_API_TYPES = new Map([
  ['GRPC', false],
  ['DELTA_GRPC', true],
]);

function decodeApiConfigSource(source: MessageObject, ctx: DecodeContext): ConfigSource {
  const type = word(source, 'api_type', 'DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE');
  requireV3(word(source, 'transport_api_version', 'AUTO'), 'transport_api_version', ctx);
  if (type === 'AGGREGATED_GRPC' || type === 'AGGREGATED_DELTA_GRPC') return { kind: 'ads' };
  const delta = GRPC_API_TYPES.get(type);
  if (delta === undefined) ctx.error(`is not supported: ${type}; use GRPC or DELTA_GRPC`, 'api_type');
  const services = decodeGrpcServices(source, ctx);
  if (services.length !== 1) ctx.error(`needs one gRPC service, has ${services.length}`, 'grpc_services');
  return { kind: 'grpc', cluster: services[0]?.cluster ?? '', delta: delta ?? false };
}

function requireV3(version: string, field: string, ctx: DecodeContext): void {
  if (version === 'V2' || version === 'AUTO') {
    ctx.error(`V2 xDS transport protocol version is deprecated, set ${field}: V3`, field);
  }
}

export function decodeGrpcServices(source: MessageObject, ctx: DecodeContext): GrpcService[] {
  return each(source, 'grpc_services', ctx, decodeGrpcService);
}

/** Where a resource comes from, and how long what needs it waits for it. */
export function decodeConfigSource(source: MessageObject, ctx: DecodeContext): ConfigSource {
  const place = decodeSourcePlace(source, ctx);
  const initialFetchTimeoutMs = duration(source, 'initial_fetch_timeout', ctx);
  return initialFetchTimeoutMs === undefined ? place : { ...place, initialFetchTimeoutMs };
}

function decodeSourcePlace(source: MessageObject, ctx: DecodeContext): ConfigSource {
  if (has(source, 'ads')) return { kind: 'ads' };
  if (has(source, 'self')) return { kind: 'self' };
  const api = message(source, 'api_config_source');
  if (api !== undefined) return ctx.at('api_config_source', () => decodeApiConfigSource(api, ctx));
  const path = message(source, 'path_config_source');
  return {
    kind: 'path',
    path: path === undefined ? text(source, 'path') : text(path, 'path'),
    watchedDirectory: textOrNone(message(path, 'watched_directory'), 'path'),
  };
}

/** envoy GrpcService. gRPC calls are spoken to its cluster whatever its protocol options say. */
export function decodeGrpcService(service: MessageObject): GrpcService {
  const target = message(service, 'envoy_grpc');
  const cluster = text(target, 'cluster_name');
  return {
    cluster,
    authority: textOrNone(target, 'authority'),
    timeoutMs: milliseconds(service, 'timeout'),
    initialMetadata: messages(service, 'initial_metadata').map((entry) => ({
      key: text(entry, 'key').toLowerCase(),
      value: headerValue(entry),
    })),
  };
}

/** A HeaderValue's text: `value`, or `raw_value` as Latin-1, which is what goes on the wire. */
export function headerValue(header: MessageObject | undefined): string {
  return bytes(header, 'raw_value')?.toString('latin1') ?? text(header, 'value');
}

const DENOMINATORS = new Map([
  ['HUNDRED', 100],
  ['TEN_THOUSAND', 10_000],
  ['MILLION', 1_000_000],
]);

/** envoy FractionalPercent. */
export function decodeFractionalPercent(percent: MessageObject | undefined): {
  readonly numerator: number;
  readonly denominator: number;
} {
  return {
    numerator: number(percent, 'numerator'),
    denominator: DENOMINATORS.get(word(percent, 'denominator', 'HUNDRED')) ?? 100,
  };
}

/** envoy RuntimeFractionalPercent. */
export function decodeFraction(fraction: MessageObject): Fraction {
  return {
    ...decodeFractionalPercent(message(fraction, 'default_value')),
    runtimeKey: textOrNone(fraction, 'runtime_key'),
  };
}

/** A whole number of milliseconds that may not be negative. */
export function duration(of: MessageObject | undefined, field: string, ctx: DecodeContext): number | undefined {
  const value = milliseconds(of, field);
  if (value !== undefined && value < 0) ctx.error(`Expected positive duration: ${value} ms`, field);
  return value;
}
