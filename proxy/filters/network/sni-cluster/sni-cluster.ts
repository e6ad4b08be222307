/** envoy.filters.network.sni_cluster: the server name of the ClientHello is the TCP proxy's cluster. */
import type { ExtensionFilterFactory } from '../contract.ts';

export const SNI_CLUSTER: ExtensionFilterFactory = {
  name: 'envoy.filters.network.sni_cluster',
  typeUrl: 'envoy.extensions.filters.network.sni_cluster.v3.SniCluster',
  buildConnectionFilter: () => ({
    onNewConnection(info) {
      if (info.requestedServerName !== undefined) info.tcpCluster = info.requestedServerName;
      return 'continue';
    },
  }),
};
