/**
 * The one place that chooses a connection's codec. HTTP/2 is recognised and not spoken yet: such a connection is closed
 * and counted as a protocol error, never half understood.
 */
import type { HttpConnectionManager } from '../../../../xds-client/model/http-connection-manager.ts';
import type { ServerConnection, ServerConnectionHandler, Transport } from '../../../http/stream.ts';
import { Http1ServerConnection } from '../../../http1/server-connection.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** What the first bytes say. `unknown`: too few to tell. */
export function sniff(bytes: Buffer): 'http1' | 'http2' | 'unknown' {
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return 'http1';
  return length === PREFACE.length ? 'http2' : 'unknown';
}

/** `undefined`: the protocol is not spoken. `alpn`: what TLS agreed on. */
export function createCodec(
  protocol: 'http1' | 'http2',
  config: HttpConnectionManager,
  transport: Transport,
  handler: ServerConnectionHandler,
  encrypted: boolean,
): ServerConnection | undefined {
  if (protocol === 'http2') return undefined;
  return new Http1ServerConnection(transport, handler, {
    http1: config.http1,
    scheme: encrypted ? 'https' : 'http',
    underscores: config.common.headersWithUnderscores,
    maxHeadersBytes: config.maxRequestHeadersKb * 1024,
    maxHeadersCount: config.common.maxHeadersCount,
  });
}

/** The protocol that configuration and ALPN decide on; `undefined`: the first bytes will tell. */
export function decidedProtocol(
  codec: HttpConnectionManager['codec'],
  alpn: string | undefined,
): 'http1' | 'http2' | undefined {
  if (codec !== 'auto') return codec;
  if (alpn === 'h2') return 'http2';
  return alpn === 'http/1.1' || alpn === 'http/1.0' ? 'http1' : undefined;
}
