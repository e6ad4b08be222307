/** envoy.filters.network.echo: says again what it is told. */
import type { ExtensionFilterFactory } from '../contract.ts';
import { PlainConnection } from '../plain-connection.ts';

export const ECHO: ExtensionFilterFactory = {
  name: 'envoy.filters.network.echo',
  typeUrl: 'envoy.extensions.filters.network.echo.v3.Echo',
  buildTerminal: () => ({
    accept(socket) {
      const connection = new PlainConnection(socket);
      // Reads as fast as the peer takes it back, and ends when the peer has.
      socket.pipe(socket);
      return connection;
    },
  }),
};
