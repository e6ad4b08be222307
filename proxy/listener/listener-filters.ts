/** What a listener's configuration has looked at in a connection before its chain is chosen. */

import type { Listener, ListenerFilterPredicate, ProxyProtocol } from '../../xds-client/model/listener.ts';
import { fromPlain } from '../../xds-client/model/plain.ts';
import type { DownstreamTls, SecretRef, TlsCertificate } from '../../xds-client/model/tls.ts';
import { HANDSHAKE_TIMEOUT_MS } from './connection.ts';
import type { ListenerEnvironment } from './environment.ts';
import { needsTlsInspector } from './filter-chain-match.ts';
import { helloReader, type Inspectors, makeInspectors } from './inspection.ts';
import { ProxyGate } from './proxy-gate.ts';

const FILTERS = 'envoy.extensions.filters.listener';
const TLS_INSPECTOR = `${FILTERS}.tls_inspector.v3.TlsInspector`;
const HTTP_INSPECTOR = `${FILTERS}.http_inspector.v3.HttpInspector`;
const ORIGINAL_DST = `${FILTERS}.original_dst.v3.OriginalDst`;
const PROXY_PROTOCOL = `${FILTERS}.proxy_protocol.v3.ProxyProtocol`;

/** The inspectors by the port that a connection was going to, which `filter_disabled` asks. */
export function inspectorsOf(
  listener: Listener,
  environment: ListenerEnvironment,
): (destinationPort: number) => Inspectors | undefined {
  const { stats } = environment;
  const runs = (typeUrl: string): ((port: number) => boolean) | undefined => {
    const filters = listener.listenerFilters.filter((filter) => filter.typeUrl === typeUrl);
    if (filters.length === 0) return undefined;
    return (port) => filters.some(({ disabledWhen }) => disabledWhen === undefined || !holds(disabledWhen, port));
  };
  const implied = needsTlsInspector(listener.filterChains.map((chain) => chain.match));
  const tls = runs(TLS_INSPECTOR) ?? (() => implied);
  const http = runs(HTTP_INSPECTOR) ?? (() => false);
  const proxied = runs(PROXY_PROTOCOL) ?? (() => false);
  const config = listener.listenerFilters.find(({ typeUrl }) => typeUrl === PROXY_PROTOCOL)?.config;
  const gate = config === undefined ? undefined : new ProxyGate(fromPlain<ProxyProtocol>(config), stats);
  const none = needsHello(listener) ? helloReader(stats, shortestHandshake(listener)) : undefined;
  // One for each way in which the filters can be on or off.
  const made = new Map<number, Inspectors | undefined>();
  return (port) => {
    const [readsTls, readsHttp, readsProxy] = [tls(port), http(port), proxied(port)];
    const key = Number(readsTls) + 2 * Number(readsHttp) + 4 * Number(readsProxy);
    if (key === 0) return none;
    if (!made.has(key)) {
      made.set(key, { ...makeInspectors(readsTls, readsHttp, stats), proxy: readsProxy ? gate : undefined });
    }
    return made.get(key);
  };
}

/** The kernel is asked where a connection was going. */
export function asksOrigin({ useOriginalDst, listenerFilters, address }: Listener): boolean {
  const port = address.kind === 'socket' ? address.port : 0;
  const asks = listenerFilters.some(
    ({ typeUrl, disabledWhen }) =>
      typeUrl === ORIGINAL_DST && (disabledWhen === undefined || !holds(disabledWhen, port)),
  );
  return useOriginalDst || asks;
}

function holds(predicate: ListenerFilterPredicate, port: number): boolean {
  switch (predicate.kind) {
    case 'any':
      return true;
    case 'destination-port':
      return port >= predicate.from && port < predicate.to;
    case 'not':
      return !holds(predicate.rule, port);
    case 'and':
      return predicate.rules.every((rule) => holds(rule, port));
    case 'or':
      return predicate.rules.some((rule) => holds(rule, port));
  }
}

/** Which chain a connection goes to is not known before the look: the shortest time of all holds. */
function shortestHandshake({ filterChains, defaultFilterChain }: Listener): number {
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  return Math.min(...chains.map((chain) => chain.transportSocketConnectTimeoutMs || HANDSHAKE_TIMEOUT_MS));
}

/** What a chain's handshake turns on is in the ClientHello, and nobody waits for the proxy to speak first: all is TLS. */
function needsHello({ filterChains, defaultFilterChain }: Listener): boolean {
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  const sockets = chains.map(({ transportSocket }) => transportSocket);
  return (
    sockets.every(({ kind }) => kind === 'tls') &&
    sockets.some((socket) => socket.kind === 'tls' && turnsOnHello(socket.tls))
  );
}

/**
 * ALPN without a protocol in common, a choice of certificates, staples that callers ask for. A certificate that SDS brings
 * may have a staple too, which is sent without a look.
 */
function turnsOnHello({ common, ocspStaplePolicy }: DownstreamTls): boolean {
  const { alpnProtocols, certificates } = common;
  return (
    alpnProtocols.length > 0 || certificates.length > 1 || ocspStaplePolicy !== 'lenient' || certificates.some(stapled)
  );
}

const stapled = (ref: SecretRef<TlsCertificate>): boolean =>
  ref.kind === 'inline' && ref.secret.ocspStaple !== undefined;
