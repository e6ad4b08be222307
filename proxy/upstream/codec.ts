/** The one place that knows which codec speaks which version. HTTP/2 joins here. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { ClientConnection, ClientConnectionHandler, Transport } from '../http/stream.ts';

export type UpstreamHttpVersion = 11 | 20;

export type ClientCodecFactory = (
  version: UpstreamHttpVersion,
  transport: Transport,
  handler: ClientConnectionHandler,
  config: Cluster,
) => ClientConnection;
export const createClientCodec: ClientCodecFactory = () => {
  throw new Error('x');
};
