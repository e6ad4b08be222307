/** How a connection to one endpoint is wrapped: which transport socket, which SNI, which name must be in the certificate. */
import { isIP } from 'node:net';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Json } from '../../xds-client/model/common.ts';
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import type { TransportSocket, UpstreamTls } from '../../xds-client/model/tls.ts';
import type { RequestHead } from '../http/headers.ts';

const MATCH_NAMESPACE = 'envoy.transport_socket_match';

/** The first of `transport_socket_matches` that the endpoint's metadata satisfies, otherwise the cluster's own. */
export function transportSocketOf(config: Cluster, endpoint: Endpoint): TransportSocket<UpstreamTls> {
  if (config.transportSocketMatches.length === 0) return config.transportSocket;
  const metadata = endpoint.metadata[MATCH_NAMESPACE] ?? {};
  const found = config.transportSocketMatches.find(({ match }) =>
    Object.entries(match).every(([key, value]) => Object.hasOwn(metadata, key) && sameJson(metadata[key], value)),
  );
  return found === undefined ? config.transportSocket : found.transportSocket;
}

export interface ServerNames {
  /** `undefined`: what the TLS configuration says. */
  readonly sni: string | undefined;
  readonly expectedSan: string | undefined;
}

const FIXED: ServerNames = { sni: undefined, expectedSan: undefined };

/** SNI and the expected name, where they depend on the request (auto_sni, auto_san_validation) or the endpoint (auto_host_sni). */
export function serverNames(
  config: Cluster,
  tls: UpstreamTls,
  endpoint: Endpoint,
  head: RequestHead | undefined,
): ServerNames {
  if (!config.autoSni && !config.autoSanValidation && !tls.autoHostSni && !tls.autoSniSanValidation) return FIXED;
  const authority = head === undefined || head.authority === '' ? undefined : hostOf(head.authority);
  let sni: string | undefined;
  if (tls.autoHostSni && endpoint.hostname !== '') sni = endpoint.hostname;
  else if (config.autoSni && authority !== undefined && isIP(authority) === 0) sni = authority;
  let expectedSan = config.autoSanValidation ? authority : undefined;
  if (tls.autoSniSanValidation) expectedSan = sni ?? tls.sni;
  return { sni, expectedSan };
}

/** An authority without its port and brackets. */
function hostOf(authority: string): string {
  if (authority.startsWith('[')) return authority.slice(1, authority.indexOf(']'));
  const colon = authority.lastIndexOf(':');
  return colon < 0 ? authority : authority.slice(0, colon);
}

function sameJson(a: Json | undefined, b: Json): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
