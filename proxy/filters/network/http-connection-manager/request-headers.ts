/**
 * What the connection manager does to a request's head before anything else looks at it. Order, as in Envoy: who the
 * client is, then whether it is trusted, then what it may not say, then what we say about it.
 */
import type { HttpConnectionManager } from '../../../../xds-client/model/http-connection-manager.ts';
import type { HeaderMap, RequestHead } from '../../../http/headers.ts';
import { forgetDecision } from '../../../observe/tracing/sampling.ts';
import { addressFromForwardedFor, type InternalAddresses, isLoopback, joinForwardedFor } from './client-address.ts';
import { applyClientCert } from './client-cert.ts';

/** What a connection contributes, worked out once for all its requests. */
export interface ConnectionFacts {
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly encrypted: boolean;
  readonly mutual: boolean;
  readonly clientCert: string | undefined;
}

export interface RequestRules {
  readonly config: HttpConnectionManager;
  readonly internalAddresses: InternalAddresses;
  /** The machine's own address: it stands in `x-forwarded-for` for a client on loopback. */
  readonly nodeAddress: string;
  requestId(): string;
}

/** Only the edge believes these. */
const EDGE_ONLY = new Set([
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
  'x-envoy-original-path',
]);

/** What an external request may not ask for. */
const INTERNAL_ONLY = new Set([
  'x-envoy-internal',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-original-url',
  'x-envoy-hedge-on-per-try-timeout',
]);

/**
 * Changes `head` in place. Returns the address that stands for the client where a hop before us named one; `undefined`:
 * the connection's own does.
 */
export function mutateRequest(
  head: RequestHead,
  connection: ConnectionFacts,
  rules: RequestRules,
  internalOnlyHeaders: readonly string[],
): string | undefined {
  const { config } = rules;
  const { headers } = head;
  const forwardedFor = joinForwardedFor(headers);
  let named: string | undefined;
  let client: string | undefined;
  let single: boolean;
  if (config.useRemoteAddress) {
    const { remoteAddress } = connection;
    const { xffNumTrustedHops } = config;
    single = forwardedFor === undefined;
    if (xffNumTrustedHops > 0 && forwardedFor !== undefined)
      named = addressFromForwardedFor(forwardedFor, xffNumTrustedHops - 1);
    client = named ?? remoteAddress;
    if (!config.skipXffAppend) {
      const own = isLoopback(remoteAddress) ? rules.nodeAddress : remoteAddress;
      headers.set(
        'x-forwarded-for',
        forwardedFor === undefined || forwardedFor === '' ? own : `${forwardedFor},${own}`,
      );
    }
    if (xffNumTrustedHops === 0 || !headers.has('x-forwarded-proto')) {
      headers.set('x-forwarded-proto', connection.encrypted ? 'https' : 'http');
    }
    if (config.appendXForwardedPort && (xffNumTrustedHops === 0 || !headers.has('x-forwarded-port'))) {
      headers.set('x-forwarded-port', String(connection.localPort));
    }
  } else {
    single = false;
    if (forwardedFor !== undefined) {
      named = addressFromForwardedFor(forwardedFor, config.xffNumTrustedHops);
      single = !forwardedFor.includes(',');
    }
    client = named;
    if (!headers.has('x-forwarded-proto')) headers.add('x-forwarded-proto', connection.encrypted ? 'https' : 'http');
  }
  if (config.schemeOverwrite !== undefined) headers.set('x-forwarded-proto', config.schemeOverwrite);
  head.scheme = headers.get('x-forwarded-proto') === 'https' ? 'https' : 'http';

  const internal = single && client !== undefined && rules.internalAddresses.has(client);
  const edge = !internal && config.useRemoteAddress;
  sanitize(headers, internal, edge, internalOnlyHeaders);
  if (internal) headers.set('x-envoy-internal', 'true');
  if (edge && client !== undefined) headers.set('x-envoy-external-address', client);
  if (config.via !== undefined) appendVia(headers, config.via);
  if (config.forwardClientCert !== 'sanitize' || headers.has('x-forwarded-client-cert')) {
    applyClientCert(headers, config.forwardClientCert, connection.clientCert, connection.mutual);
  }
  if (config.generateRequestId) {
    const given = headers.get('x-request-id');
    if (given === undefined) headers.add('x-request-id', rules.requestId());
    else if (edge)
      headers.set('x-request-id', config.preserveExternalRequestId ? forgetDecision(given) : rules.requestId());
  }
  return named;
}

/** One pass: requests rarely carry any of these. */
function sanitize(headers: HeaderMap, internal: boolean, edge: boolean, internalOnly: readonly string[]): void {
  if (internal) return;
  const { names } = headers;
  for (let i = names.length - 1; i >= 0; i--) {
    const name = names[i] as string;
    // `x-envoy-`: the seventh byte tells it from most others.
    if (name.length > 8 && name.charCodeAt(0) === 120 && name.charCodeAt(7) === 45 && name.charCodeAt(2) === 101) {
      if (INTERNAL_ONLY.has(name) || (edge && EDGE_ONLY.has(name))) {
        headers.remove(name);
        i = names.length;
      }
    }
  }
  for (const name of internalOnly) headers.remove(name.toLowerCase());
}

export function appendVia(headers: HeaderMap, via: string): void {
  const before = headers.joined('via');
  headers.set('via', before === undefined ? via : `${before}, ${via}`);
}
