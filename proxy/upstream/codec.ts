/** The one place that knows which codec speaks which version. HTTP/2 joins here. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { ClientConnection, ClientConnectionHandler, Transport } from '../http/stream.ts';
import { Http1ClientConnection, type Http1ClientOptions } from '../http1/client-connection.ts';

export type UpstreamHttpVersion = 11 | 20;

/** Envoy's limit for response heads. */
const MAX_RESPONSE_HEAD_BYTES = 60 * 1024;

/** What makes the codec for each new connection of a pool. */
export type ClientCodecFactory = (transport: Transport, handler: ClientConnectionHandler) => ClientConnection;

/** Throws for a version that is not spoken: to be asked before a connection is opened for it. */
export function clientCodec(version: UpstreamHttpVersion, config: Cluster): ClientCodecFactory {
  const { protocol } = config;
  if (version !== 11 || protocol.kind === 'http2') {
    throw new Error(`cluster "${config.name}": HTTP/2 upstreams are not spoken yet`);
  }
  const options: Http1ClientOptions = {
    http1: protocol.http1,
    maxHeadersBytes: MAX_RESPONSE_HEAD_BYTES,
    maxHeadersCount: config.common.maxHeadersCount,
  };
  return (transport, handler) => new Http1ClientConnection(transport, handler, options);
}
