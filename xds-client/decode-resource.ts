/** The real `ResourceDecoder`: the decoders of decode/, by kind. */
import type { Any } from '../protos/index.ts';
import { type DecodeChecks, type Decoded, decodeResourceOf } from './decode/index.ts';
import type { ResourceDecoder } from './resource-decoder.ts';
import type { Resource, ResourceKind } from './resource-types.ts';

/** `checks`: what the side that will use the resources holds against them. */
export function resourceDecoder(checks?: DecodeChecks): ResourceDecoder {
  return (kind, any) => decodeKind(kind, any, checks);
}

function decodeKind(kind: ResourceKind, any: Any, checks: DecodeChecks | undefined): Decoded<Resource> {
  switch (kind) {
    case 'cluster':
      return map(decodeResourceOf('envoy.config.cluster.v3.Cluster', any, checks), (value) => ({ kind, value }));
    case 'endpoints':
      return map(decodeResourceOf('envoy.config.endpoint.v3.ClusterLoadAssignment', any, checks), (value) => ({
        kind,
        value,
      }));
    case 'listener':
      return map(decodeResourceOf('envoy.config.listener.v3.Listener', any, checks), (value) => ({ kind, value }));
    case 'routes':
      return map(decodeResourceOf('envoy.config.route.v3.RouteConfiguration', any, checks), (value) => ({
        kind,
        value,
      }));
    case 'secret':
      return map(decodeResourceOf('envoy.extensions.transport_sockets.tls.v3.Secret', any, checks), (value) => ({
        kind,
        value,
      }));
  }
}

function map<T>(decoded: Decoded<T>, make: (value: T) => Resource): Decoded<Resource> {
  return decoded.ok ? { ok: true, value: make(decoded.value), unsupported: decoded.unsupported } : decoded;
}
