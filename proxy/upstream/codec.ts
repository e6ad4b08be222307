/** The one place that knows which codec speaks which version. HTTP/2 joins here. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Http1Options } from '../../xds-client/model/http-connection-manager.ts';
import type { ClientConnection, ClientConnectionHandler, Transport } from '../http/stream.ts';
import { Http1ClientConnection } from '../http1/client-connection.ts';

export type UpstreamHttpVersion = 11 | 20;

/** Envoy's limit for response heads. */
const MAX_RESPONSE_HEAD_BYTES = 60 * 1024;

/** The codec for a new connection. Throws for a version that is not spoken. */
export function createClientCodec(
  version: UpstreamHttpVersion,
  transport: Transport,
  handler: ClientConnectionHandler,
  config: Cluster,
): ClientConnection {
  const http1 = http1Options(config);
  if (version === 20 || http1 === undefined)
    throw new Error(`cluster "${config.name}": HTTP/2 upstreams are not spoken yet`);
  return new Http1ClientConnection(transport, handler, {
    http1,
    maxHeadersBytes: MAX_RESPONSE_HEAD_BYTES,
    maxHeadersCount: config.common.maxHeadersCount,
  });
}

function http1Options({ protocol }: Cluster): Http1Options | undefined {
  return protocol.kind === 'http2' ? undefined : protocol.http1;
}
