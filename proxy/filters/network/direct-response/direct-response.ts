/** envoy.filters.network.direct_response: one answer to whoever connects, and the end. */
import type { DirectResponseConfig } from '../../../../xds-client/model/filters/network.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { ExtensionFilterFactory } from '../contract.ts';
import { PlainConnection } from '../plain-connection.ts';

/** A caller that has more to say would learn of a reset before it has read the answer: it is listened to for so long. */
const LINGER_MS = 1_000;

export const DIRECT_RESPONSE: ExtensionFilterFactory = {
  name: 'envoy.filters.network.direct_response',
  typeUrl: 'envoy.extensions.filters.network.direct_response.v3.Config',
  buildTerminal(config) {
    const response = Buffer.from(fromPlain<DirectResponseConfig>(config).base64, 'base64');
    return {
      accept(socket) {
        const connection = new PlainConnection(socket);
        const linger = setTimeout(() => socket.destroy(), LINGER_MS).unref();
        socket.on('close', () => clearTimeout(linger));
        socket.resume();
        socket.end(response);
        return connection;
      },
    };
  },
};
