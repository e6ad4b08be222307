/**
 * `x-forwarded-client-cert`: what the next hop is told of the downstream's certificate
 * (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert).
 */
import type { HttpConnectionManager } from '../../../../xds-client/model/http-connection-manager.ts';
import type { ConnectionInfo, PeerCertificate, TlsInfo } from '../../../http/connection-info.ts';
import type { HeaderMap } from '../../../http/headers.ts';

const NAME = 'x-forwarded-client-cert';

/**
 * Strips, keeps, appends or sets the header. `element` is the text for this connection's certificate, made once a
 * connection by `clientCertElement`; `undefined` without a verified one.
 */
export function applyClientCert(
  headers: HeaderMap,
  mode: HttpConnectionManager['forwardClientCert'],
  element: string | undefined,
  mutual: boolean,
): void {
  switch (mode) {
    case 'always-forward-only':
      return;
    case 'sanitize':
      headers.remove(NAME);
      return;
    case 'forward-only':
      // Without mutual TLS nobody vouches for what the header says.
      if (!mutual) headers.remove(NAME);
      return;
    case 'append-forward': {
      if (!mutual) {
        headers.remove(NAME);
        return;
      }
      const before = headers.joined(NAME);
      if (element !== undefined) headers.set(NAME, before === undefined ? element : `${before},${element}`);
      return;
    }
    case 'sanitize-set':
      headers.remove(NAME);
      if (mutual && element !== undefined) headers.add(NAME, element);
      return;
  }
}

/** Whether the mode writes the connection's own element. */
export function setsClientCert(mode: HttpConnectionManager['forwardClientCert']): boolean {
  return mode === 'append-forward' || mode === 'sanitize-set';
}

/** Whether the downstream proved who it is. */
export function isMutual(tls: TlsInfo | undefined): tls is TlsInfo {
  return tls !== undefined && tls.peer !== undefined && tls.peerValidated;
}

function chainPem(peer: PeerCertificate): string {
  return peer
    .chain()
    .map((member) => member.pem())
    .join('');
}

/** `By=spiffe://...;Hash=...;Subject="...";URI=spiffe://...`, in Envoy's order. */
export function clientCertElement(
  connection: ConnectionInfo,
  details: HttpConnectionManager['setClientCertDetails'],
): string | undefined {
  const { tls } = connection;
  if (!isMutual(tls) || tls.peer === undefined) return undefined;
  const { peer } = tls;
  const parts: string[] = [];
  for (const uri of tls.localSans.uris) parts.push(`By=${uri}`);
  parts.push(`Hash=${peer.fingerprint256}`);
  if (details.cert) parts.push(`Cert="${encodeURIComponent(peer.pem())}"`);
  if (details.chain) parts.push(`Chain="${encodeURIComponent(chainPem(peer))}"`);
  if (details.subject) parts.push(`Subject="${peer.subject.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`);
  if (details.uri) {
    // Envoy writes the empty one, too
    for (const uri of peer.sans.uris.length === 0 ? [''] : peer.sans.uris) parts.push(`URI=${uri}`);
  }
  if (details.dns) for (const dns of peer.sans.dnsNames) parts.push(`DNS=${dns}`);
  return parts.join(';');
}
