/**
 * Envoy's command operators: `%RESPONSE_CODE%` and its like, each a function of the finished request. Numbers stay
 * numbers for JSON; an absent value is `undefined` (a dash in text, null in JSON).
 */
import { hostname } from 'node:os';
import type { Endpoint } from '../../../xds-client/model/endpoint.ts';
import type { HeaderMap, RequestHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { addressText } from '../../upstream/contract.ts';
import { certificateOperators, chainOperators } from './certificate-operators.ts';
import { coalesce } from './coalesce.ts';
import { flagText, longFlagText } from './flags.ts';
import { grpcStatusOf, grpcStatusText, isGrpcRequest } from './grpc-status.ts';
import { type Make, type Operator, type OperatorOptions, plain, type Value } from './operator.ts';
import { originalPath, PATH_OPERATORS } from './path-operators.ts';
import { loggedHeader } from './secrets.ts';
import { compileTime } from './time-format.ts';

const HOSTNAME = hostname();

const dashIfEmpty = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

/** Whole milliseconds between two moments; `undefined` when either was not reached. */
function span(from: number, to: number): number | undefined {
  return from === 0 || to === 0 ? undefined : Math.max(0, Math.floor(to - from));
}

const none: Make = () => () => undefined;

/** Always absent, but its key has to be there. */
const keyed: Make = (argument) =>
  argument === undefined || argument === '' ? { error: 'needs a key' } : () => undefined;

/** `FILTER_STATE(name)`, `FILTER_STATE(name:PLAIN)`, `FILTER_STATE(name:FIELD:x)`; what filters keep here has no fields. */
const filterState: Make = (argument, options) => {
  const [name = '', form = 'TYPED', field] = (argument ?? '').split(':');
  if (name === '') return { error: 'needs a key' };
  const stateOf = (info: StreamInfo) => info.filterState?.find(({ stateName }) => stateName === name);
  if (form === 'PLAIN') return (info) => stateOf(info)?.stateText();
  if (form === 'TYPED') return (info) => stateOf(info)?.stateFields(options.inText !== true);
  if (form === 'FIELD') return field === undefined ? { error: 'FIELD needs a name' } : () => undefined;
  return { error: `is written as PLAIN, TYPED or FIELD, not "${form}"` };
};

function requestField(head: RequestHead, name: string, info: StreamInfo): string | undefined {
  switch (name) {
    case ':path':
      return dashIfEmpty(head.path);
    case ':method':
      return dashIfEmpty(head.method);
    case ':authority':
    case 'host':
      // An empty Host is there; none at all was refused.
      return head.method === '' || info.responseCodeDetails === 'missing_host_header' ? undefined : head.authority;
    case ':scheme':
      return dashIfEmpty(head.scheme);
    case ':protocol':
      return head.protocol;
    case 'x-envoy-original-path':
      return originalPath(head, info);
    case 'x-request-id':
      return head.headers.get(name) ?? info.requestId;
    default:
      return head.headers.get(name);
  }
}

/** `REQ(X?Y)` and its like: the first name that is there. */
function field(read: (info: StreamInfo, name: string) => string | undefined): Make {
  return (argument, options) => {
    if (argument === undefined || argument === '') return { error: 'needs a header name' };
    const names = argument.toLowerCase().split('?');
    if (names.length > 2) return { error: `takes one alternative name, got "${argument}"` };
    const [main, alternative] = names as [string, string | undefined];
    const show = options.secrets === 'keep' ? (_name: string, value: string | undefined) => value : loggedHeader;
    return (info) => {
      const value = read(info, main);
      if (value !== undefined || alternative === undefined) return show(main, value);
      return show(alternative, read(info, alternative));
    };
  };
}

function inHeaders(headers: HeaderMap | undefined, name: string): string | undefined {
  return headers?.get(name);
}

/** Sizes as Envoy counts them: names and values, no separators. */
function headerBytes(headers: HeaderMap | undefined): number {
  let bytes = 0;
  if (headers === undefined) return bytes;
  for (let i = 0; i < headers.names.length; i++) {
    bytes += (headers.names[i] as string).length + (headers.values[i] as string).length;
  }
  return bytes;
}

function requestHeaderBytes(head: RequestHead): number {
  const pseudo = ':method:path:authority:scheme'.length;
  return (
    pseudo +
    head.method.length +
    head.path.length +
    head.authority.length +
    head.scheme.length +
    headerBytes(head.headers)
  );
}

/** `com.example:a:b` of a metadata tree. */
function metadataAt(path: readonly string[], metadata: { readonly [key: string]: unknown } | undefined): Value {
  let at: unknown = metadata;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || Array.isArray(at)) return undefined;
    at = (at as { [key: string]: unknown })[key];
  }
  return at as Value;
}

function metadata(
  read: (info: StreamInfo, options: OperatorOptions) => { readonly [key: string]: unknown } | undefined,
): Make {
  return (argument, options) => {
    if (argument === undefined || argument === '') return { error: 'needs a namespace' };
    const path = argument.split(':');
    return (info) => metadataAt(path, read(info, options));
  };
}

const dynamicMetadata = (info: StreamInfo): { readonly [key: string]: unknown } | undefined =>
  info.dynamicMetadata === undefined ? undefined : Object.fromEntries(info.dynamicMetadata);

const METADATA_SOURCES: {
  readonly [source: string]: (
    info: StreamInfo,
    options: OperatorOptions,
  ) => { readonly [key: string]: unknown } | undefined;
} = {
  DYNAMIC: dynamicMetadata,
  ROUTE: (info) => info.route?.metadata,
  CLUSTER: (info, options) => (info.cluster === undefined ? undefined : options.clusterMetadata?.(info.cluster)),
  UPSTREAM_HOST: (info) => info.endpoint?.metadata,
  LISTENER: () => undefined,
  VIRTUAL_HOST: () => undefined,
};

const anyMetadata: Make = (argument, options) => {
  const [source, ...path] = (argument ?? '').split(':');
  const read = METADATA_SOURCES[source as string];
  if (read === undefined)
    return { error: `"${source}" is no metadata source (DYNAMIC, ROUTE, CLUSTER, UPSTREAM_HOST)` };
  if (path.length === 0) return { error: 'needs a namespace' };
  return (info) => metadataAt(path, read(info, options));
};

function time(moment: (info: StreamInfo) => number, local: boolean): Make {
  return (argument) => {
    const format = compileTime(argument, local);
    return typeof format === 'function' ? (info) => format(moment(info)) : format;
  };
}

const MOMENTS: { readonly [name: string]: (info: StreamInfo) => number } = {
  DS_RX_BEG: (info) => info.startedAt,
  DS_RX_END: (info) => info.requestCompleteAt,
  US_TX_BEG: (info) => info.upstreamRequestFirstByteAt,
  US_TX_END: (info) => info.upstreamRequestLastByteAt,
  US_RX_BEG: (info) => info.upstreamResponseFirstByteAt,
  US_RX_END: (info) => info.upstreamResponseLastByteAt,
  DS_TX_BEG: (info) => info.downstreamResponseFirstByteAt,
  DS_TX_END: (info) => info.completeAt,
  DS_CX_BEG: (info) => info.connection.startedAt,
};
const PRECISION: { readonly [unit: string]: number } = { ms: 1, us: 1000, ns: 1_000_000 };

const commonDuration: Make = (argument) => {
  const [from, to, unit] = (argument ?? '').split(':');
  const scale = PRECISION[unit ?? ''];
  if (from === undefined || to === undefined || scale === undefined) {
    return { error: `needs START:END:PRECISION, got "${argument ?? ''}"` };
  }
  const begin = MOMENTS[from];
  const end = MOMENTS[to];
  return (info) => {
    const start = begin?.(info) ?? 0;
    const stop = end?.(info) ?? 0;
    return start === 0 || stop === 0 ? undefined : Math.max(0, Math.floor((stop - start) * scale));
  };
};

const grpcStatus: Make = (argument) => {
  const form = argument ?? 'CAMEL_STRING';
  if (form !== 'CAMEL_STRING' && form !== 'SNAKE_STRING' && form !== 'NUMBER') {
    return { error: `"${form}" is no form of a gRPC status (CAMEL_STRING, SNAKE_STRING, NUMBER)` };
  }
  return (info) => {
    if (!isGrpcRequest(info)) return undefined;
    const status = grpcStatusOf(info);
    if (status === undefined) return undefined;
    return form === 'NUMBER' ? status : grpcStatusText(status, form);
  };
};

const withPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

/** Addresses of a side: `_ADDRESS`, `_ADDRESS_WITHOUT_PORT` and `_PORT`. */
function addresses(
  prefix: string,
  host: (info: StreamInfo) => string | undefined,
  port: (info: StreamInfo) => number | undefined,
): [string, Make][] {
  return [
    [
      `${prefix}_ADDRESS`,
      plain((info) => {
        const name = host(info);
        const number = port(info);
        return name === undefined || number === undefined ? name : withPort(name, number);
      }),
    ],
    [`${prefix}_ADDRESS_WITHOUT_PORT`, () => host],
    [`${prefix}_PORT`, plain(port)],
  ];
}

/** Splits `1.2.3.4:80` and `[::1]:80`. */
function splitAddress(text: string | undefined): { host: string | undefined; port: number | undefined } {
  const at = text?.lastIndexOf(':') ?? -1;
  if (text === undefined || at < 0) return { host: text, port: undefined };
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
}

function endpointHost(info: StreamInfo): string | undefined {
  const address = info.endpoint?.address;
  return address === undefined ? undefined : hostText(address);
}

function endpointPort(info: StreamInfo): number | undefined {
  const address = info.endpoint?.address;
  return address?.kind === 'socket' ? address.port : undefined;
}

/** A connection to the endpoint was had. */
const isConnected = (info: StreamInfo): boolean => info.upstreamLocalAddress !== undefined;

const endpointText = (info: StreamInfo): string | undefined =>
  info.endpoint === undefined ? undefined : addressText(info.endpoint.address);

const list = (values: readonly string[] | undefined): string | undefined => dashIfEmpty(values?.join(',') ?? '');

const VERSIONS: { readonly [version: number]: string } = { 10: 'HTTP/1.0', 11: 'HTTP/1.1', 20: 'HTTP/2' };

const responseField = (info: StreamInfo, name: string): string | undefined =>
  name === ':status' ? info.response && String(info.response.status) : inHeaders(info.response?.headers, name);

/** What Envoy counts on the wire and Tollway does not: accepted, always absent. */
const UNMEASURED = [
  ...['DOWNSTREAM', 'UPSTREAM'].flatMap((side) =>
    ['WIRE_BYTES', 'HEADER_BYTES', 'DECOMPRESSED_HEADER_BYTES'].flatMap((what) => [
      `${side}_${what}_RECEIVED`,
      `${side}_${what}_SENT`,
    ]),
  ),
  ...['DOWNSTREAM_TRANSPORT_FAILURE_REASON', 'DOWNSTREAM_LOCAL_CLOSE_REASON', 'DOWNSTREAM_DETECTED_CLOSE_TYPE'],
  ...['DOWNSTREAM_HANDSHAKE_DURATION', 'DOWNSTREAM_CX_RTT', 'ROUNDTRIP_DURATION', 'BYTES_RETRANSMITTED'],
  ...['PACKETS_RETRANSMITTED', 'UPSTREAM_CONNECTION_POOL_READY_DURATION', 'UPSTREAM_CONNECTION_ID'],
  ...['UPSTREAM_CONNECTION_IDS_ATTEMPTED', 'UPSTREAM_DETECTED_CLOSE_TYPE', 'UPSTREAM_LOCAL_CLOSE_REASON'],
  ...['TLS_JA3_FINGERPRINT', 'TLS_JA4_FINGERPRINT', 'CUSTOM_FLAGS'],
  ...['DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID', 'DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID', 'SPAN_ID'],
];

const OPERATORS: ReadonlyMap<string, Make> = new Map<string, Make>([
  ...UNMEASURED.map((name): [string, Make] => [name, none]),
  ['START_TIME', time((info) => info.startTime, false)],
  ['START_TIME_LOCAL', time((info) => info.startTime, true)],
  ['EMIT_TIME', time(() => Date.now(), false)],
  ['EMIT_TIME_LOCAL', time(() => Date.now(), true)],
  ['REQ', field((info, name) => requestField(info.request, name, info))],
  ['REQUEST_HEADER', field((info, name) => requestField(info.request, name, info))],
  ['RESP', field(responseField)],
  ['RESPONSE_HEADER', field(responseField)],
  ['TRAILER', field((info, name) => inHeaders(info.responseTrailers, name))],
  ['RESPONSE_TRAILER', field((info, name) => inHeaders(info.responseTrailers, name))],
  ['PROTOCOL', plain((info) => (info.tcp ? undefined : VERSIONS[info.request.version]))],
  ['UPSTREAM_PROTOCOL', plain((info) => info.upstreamProtocol)],
  ['RESPONSE_CODE', plain((info) => info.response?.status ?? 0)],
  ['RESPONSE_CODE_DETAILS', plain((info) => info.responseCodeDetails?.replaceAll(' ', '_'))],
  ['RESPONSE_FLAGS', plain((info) => flagText(info.flags))],
  ['RESPONSE_FLAGS_LONG', plain((info) => longFlagText(info.flags))],
  ['CONNECTION_TERMINATION_DETAILS', plain((info) => info.connectionTerminationDetails)],
  ['BYTES_RECEIVED', plain((info) => info.requestBodyBytes)],
  ['BYTES_SENT', plain((info) => info.responseBodyBytes)],
  ['REQUEST_HEADERS_BYTES', plain((info) => requestHeaderBytes(info.request))],
  [
    'RESPONSE_HEADERS_BYTES',
    plain((info) => (info.response === undefined ? 0 : ':status200'.length + headerBytes(info.response.headers))),
  ],
  ['RESPONSE_TRAILERS_BYTES', plain((info) => headerBytes(info.responseTrailers))],
  ['DURATION', plain((info) => span(info.startedAt, info.completeAt))],
  ['REQUEST_DURATION', plain((info) => span(info.startedAt, info.requestCompleteAt))],
  ['REQUEST_TX_DURATION', plain((info) => span(info.startedAt, info.upstreamRequestLastByteAt))],
  ['RESPONSE_DURATION', plain((info) => span(info.startedAt, info.upstreamResponseFirstByteAt))],
  ['RESPONSE_TX_DURATION', plain((info) => span(info.upstreamResponseFirstByteAt, info.completeAt))],
  ['COMMON_DURATION', commonDuration],
  ['UPSTREAM_HOST', plain(endpointText)],
  ['UPSTREAM_HOST_NAME', plain((info) => dashIfEmpty(info.endpoint?.hostname) ?? endpointText(info))],
  ['UPSTREAM_HOST_NAME_WITHOUT_PORT', plain((info) => dashIfEmpty(info.endpoint?.hostname) ?? endpointHost(info))],
  ['UPSTREAM_HOSTS_ATTEMPTED', plain(attempted((endpoint) => addressText(endpoint.address)))],
  ['UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT', plain(attempted((endpoint) => hostText(endpoint.address)))],
  ['UPSTREAM_HOST_NAMES_ATTEMPTED', plain(attempted((endpoint) => endpoint.hostname || addressText(endpoint.address)))],
  [
    'UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT',
    plain(attempted((endpoint) => endpoint.hostname || hostText(endpoint.address))),
  ],
  ['UPSTREAM_CLUSTER', plain((info) => info.clusterStatName)],
  ['UPSTREAM_CLUSTER_RAW', plain((info) => info.cluster)],
  ...addresses(
    'UPSTREAM_REMOTE',
    (info) => (isConnected(info) ? endpointHost(info) : undefined),
    (info) => (isConnected(info) ? endpointPort(info) : undefined),
  ),
  // Of internal addresses alone, which there are none of.
  ['UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID', plain((info) => (isConnected(info) ? '' : undefined))],
  ...addresses(
    'UPSTREAM_LOCAL',
    (info) => splitAddress(info.upstreamLocalAddress).host,
    (info) => splitAddress(info.upstreamLocalAddress).port,
  ),
  ['UPSTREAM_REQUEST_ATTEMPT_COUNT', plain((info) => info.attemptCount)],
  ['UPSTREAM_TRANSPORT_FAILURE_REASON', plain((info) => info.upstreamTransportFailureReason?.replaceAll(' ', '_'))],
  ...certificateOperators('UPSTREAM', (info) => info.upstreamTls),
  ['UPSTREAM_SERVER_NAME', plain((info) => info.upstreamTls?.serverName)],
  ...certificateOperators('DOWNSTREAM', (info) => info.connection.tls),
  ...chainOperators((info) => info.connection.tls),
  ...addresses(
    'DOWNSTREAM_REMOTE',
    (info) => info.clientAddress ?? info.connection.remoteAddress,
    // A client that a hop before us named has no port that we know of: Envoy says 0.
    (info) => (info.clientAddress === undefined ? info.connection.remotePort : 0),
  ),
  ...addresses(
    'DOWNSTREAM_DIRECT_REMOTE',
    (info) => info.connection.directRemoteAddress,
    (info) => info.connection.directRemotePort,
  ),
  ...addresses(
    'DOWNSTREAM_LOCAL',
    (info) => info.connection.localAddress,
    (info) => info.connection.localPort,
  ),
  ...addresses(
    'DOWNSTREAM_DIRECT_LOCAL',
    (info) => info.connection.localAddress,
    (info) => info.connection.localPort,
  ),
  ['REQUESTED_SERVER_NAME', () => (info) => info.connection.requestedServerName],
  ['ROUTE_NAME', plain((info) => dashIfEmpty(info.route?.name))],
  ['VIRTUAL_CLUSTER_NAME', plain((info) => info.virtualClusterName)],
  ['FILTER_CHAIN_NAME', plain((info) => dashIfEmpty(info.connection.chain.name))],
  ['DYNAMIC_METADATA', metadata(dynamicMetadata)],
  [
    'CLUSTER_METADATA',
    metadata((info, options) => (info.cluster === undefined ? undefined : options.clusterMetadata?.(info.cluster))),
  ],
  ['UPSTREAM_METADATA', metadata((info) => info.endpoint?.metadata)],
  ['METADATA', anyMetadata],
  ['FILTER_STATE', filterState],
  ['UPSTREAM_FILTER_STATE', keyed],
  ['HOSTNAME', plain(() => HOSTNAME)],
  ['GRPC_STATUS', grpcStatus],
  [
    'GRPC_STATUS_NUMBER',
    (argument, options) => (argument === undefined ? grpcStatus('NUMBER', options) : { error: 'takes no argument' }),
  ],
  ['TRACE_ID', plain((info) => info.trace?.traceId)],
  ['CONNECTION_ID', plain((info) => info.connection.id)],
  ['STREAM_ID', plain((info) => info.requestId)],
  ['UNIQUE_ID', plain(() => crypto.randomUUID())],
  ['ACCESS_LOG_TYPE', plain((info) => (info.tcp ? 'TcpConnectionEnd' : 'DownstreamEnd'))],
  ['LOCAL_REPLY_BODY', plain((_info, extra) => extra?.localReplyBody ?? '')],
  [
    'ENVIRONMENT',
    (argument) => {
      if (argument === undefined || argument === '') return { error: 'needs a variable name' };
      const value = process.env[argument] ?? '-';
      return () => value;
    },
  ],
  ...PATH_OPERATORS,
  ['COALESCE', coalesce(makeOperator)],
]);

/** Every endpoint that was tried, in order. */
function attempted(text: (endpoint: Endpoint) => string): Operator {
  return (info) => {
    if (info.attempts === undefined) return info.endpoint === undefined ? undefined : text(info.endpoint);
    return list(info.attempts.flatMap(({ endpoint }) => (endpoint === undefined ? [] : text(endpoint))));
  };
}

function hostText(address: Endpoint['address']): string {
  return address.kind === 'pipe' ? address.path : address.host;
}

/** The operator of that name, or why there is none. */
export function makeOperator(
  name: string,
  argument: string | undefined,
  options: OperatorOptions,
): Operator | { readonly error: string } {
  const make = OPERATORS.get(name);
  if (make === undefined) return { error: `"%${name}%" is no command operator` };
  const made = make(argument, options);
  return typeof made === 'function' ? made : { error: `%${name}%: ${made.error}` };
}
