/** The one place that chooses a connection's codec. */
import type { HttpConnectionManager } from '../../../../xds-client/model/http-connection-manager.ts';
import type { ServerConnection, ServerConnectionHandler, Transport } from '../../../http/stream.ts';
import { Http1ServerConnection } from '../../../http1/server-connection.ts';
import { PREFACE } from '../../../http2/frames.ts';
import { http2Limits } from '../../../http2/options.ts';
import { Http2ServerConnection } from '../../../http2/server-connection.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';

/** What the first bytes say. `unknown`: too few to tell. */
export function sniff(bytes: Buffer): 'http1' | 'http2' | 'unknown' {
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return 'http1';
  return length === PREFACE.length ? 'http2' : 'unknown';
}

/** `http2Stats` is asked where HTTP/2 is spoken. */
export function createCodec(
  protocol: 'http1' | 'http2',
  config: HttpConnectionManager,
  transport: Transport,
  handler: ServerConnectionHandler,
  encrypted: boolean,
  http2Stats: () => StatBlock,
): ServerConnection {
  if (protocol === 'http2') {
    return new Http2ServerConnection(transport, handler, {
      limits: http2Limits(config.http2, config.streamErrorOnInvalidHttpMessage),
      scheme: encrypted ? 'https' : 'http',
      underscores: config.common.headersWithUnderscores,
      maxHeadersBytes: config.maxRequestHeadersKb * 1024,
      maxHeadersCount: config.common.maxHeadersCount,
      stats: http2Stats(),
      random: Math.random,
    });
  }
  return new Http1ServerConnection(transport, handler, {
    http1: config.http1,
    scheme: encrypted ? 'https' : 'http',
    underscores: config.common.headersWithUnderscores,
    maxHeadersBytes: config.maxRequestHeadersKb * 1024,
    maxHeadersCount: config.common.maxHeadersCount,
  });
}

/** `alpn`: what TLS agreed on. The protocol that configuration and ALPN decide on; `undefined`: the first bytes will tell. */
export function decidedProtocol(
  codec: HttpConnectionManager['codec'],
  alpn: string | undefined,
): 'http1' | 'http2' | undefined {
  if (codec !== 'auto') return codec;
  if (alpn === 'h2') return 'http2';
  return alpn === 'http/1.1' || alpn === 'http/1.0' ? 'http1' : undefined;
}
