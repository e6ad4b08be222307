/** The one place that knows which codec speaks which version. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { ClientConnection, ClientConnectionHandler, Transport } from '../http/stream.ts';
import { Http1ClientConnection, type Http1ClientOptions } from '../http1/client-connection.ts';
import { Http2ClientConnection } from '../http2/client-connection.ts';
import { type Http2CodecOptions, http2Limits } from '../http2/options.ts';
import type { StatBlock } from '../observe/stats/contract.ts';

export type UpstreamHttpVersion = 11 | 20;
/** `auto`: what the endpoint picks by ALPN. */
export type WantedHttpVersion = UpstreamHttpVersion | 'auto';

/** Envoy's limit for response heads. */
const MAX_RESPONSE_HEAD_BYTES = 60 * 1024;

/** Makes the codec for a connection of a cluster. `http2Stats`: `cluster.<name>.http2.`, there where `version` may be 20. */
export function createClientCodec(
  version: UpstreamHttpVersion,
  config: Cluster,
  http2Stats: StatBlock | undefined,
  transport: Transport,
  handler: ClientConnectionHandler,
): ClientConnection {
  const { protocol } = config;
  const { maxHeadersCount } = config.common;
  if (version === 20) {
    if (protocol.kind === 'http1' || http2Stats === undefined) {
      throw new Error(`cluster "${config.name}": a connection in HTTP/2 was asked for, which it is not configured for`);
    }
    const options: Http2CodecOptions = {
      limits: http2Limits(protocol.http2, false),
      maxHeadersBytes: MAX_RESPONSE_HEAD_BYTES,
      maxHeadersCount,
      stats: http2Stats,
      random: Math.random,
    };
    return new Http2ClientConnection(transport, handler, options);
  }
  if (protocol.kind === 'http2') throw new Error(`cluster "${config.name}": it is spoken to in HTTP/2 only`);
  const options: Http1ClientOptions = {
    http1: protocol.http1,
    maxHeadersBytes: MAX_RESPONSE_HEAD_BYTES,
    maxHeadersCount,
  };
  return new Http1ClientConnection(transport, handler, options);
}

/** Streams that a connection of that version is expected to carry at a time, before the endpoint has said so. */
export function expectedStreams(version: WantedHttpVersion, config: Cluster): number {
  const { protocol, common } = config;
  if (version !== 20 || protocol.kind === 'http1') return 1;
  const { maxConcurrentStreams } = http2Limits(protocol.http2, false);
  return Math.max(1, Math.min(maxConcurrentStreams, common.maxRequestsPerConnection || maxConcurrentStreams));
}
