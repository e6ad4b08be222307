/** The real `ResourceDecoder`: the decoders of decode/, by kind. */
import { type Decoded, decodeResourceOf } from './decode/index.ts';
import type { ResourceDecoder } from './resource-decoder.ts';
import type { Resource } from './resource-types.ts';

export const decodeResourceKind: ResourceDecoder = (kind, any) => {
  switch (kind) {
    case 'cluster':
      return map(decodeResourceOf('envoy.config.cluster.v3.Cluster', any), (value) => ({ kind, value }));
    case 'endpoints':
      return map(decodeResourceOf('envoy.config.endpoint.v3.ClusterLoadAssignment', any), (value) => ({ kind, value }));
    case 'listener':
      return map(decodeResourceOf('envoy.config.listener.v3.Listener', any), (value) => ({ kind, value }));
    case 'routes':
      return map(decodeResourceOf('envoy.config.route.v3.RouteConfiguration', any), (value) => ({ kind, value }));
    case 'secret':
      return map(decodeResourceOf('envoy.extensions.transport_sockets.tls.v3.Secret', any), (value) => ({
        kind,
        value,
      }));
  }
};

function map<T>(decoded: Decoded<T>, make: (value: T) => Resource): Decoded<Resource> {
  return decoded.ok ? { ok: true, value: make(decoded.value), unsupported: decoded.unsupported } : decoded;
}
