/** The resource types Tollway subscribes to, and what each means on the wire. */
import type { Cluster } from './model/cluster.ts';
import type { Assignment } from './model/endpoint.ts';
import type { Listener } from './model/listener.ts';
import type { RouteConfiguration } from './model/route.ts';
import type { Secret } from './model/tls.ts';

/** The model of each kind of resource. */
export interface ResourceModels {
  cluster: Cluster;
  endpoints: Assignment;
  listener: Listener;
  routes: RouteConfiguration;
  secret: Secret;
}

export type ResourceKind = keyof ResourceModels;

/** A decoded resource of any kind. */
export type Resource = { [K in ResourceKind]: { readonly kind: K; readonly value: ResourceModels[K] } }[ResourceKind];

/** A resource by the name it was asked for (an `xdstp://` name differs from the value's own). */
export type NamedResource = Resource & { readonly name: string };

/** The resources that need TLS material before they serve. */
export type SecretUser = Extract<Resource, { readonly kind: 'cluster' | 'listener' }>;

export interface ResourceName {
  readonly kind: ResourceKind;
  readonly name: string;
}

export interface ResourceType {
  readonly kind: ResourceKind;
  /** Envoy's abbreviation, for logs: `CDS`. */
  readonly api: string;
  readonly typeUrl: string;
  /** The proto message, without the `type.googleapis.com/` before it. */
  readonly message: string;
  /**
   * State-of-the-world responses hold the full set, so that absence deletes. The others may be partial: istiod sends
   * only the changed assignments.
   */
  readonly fullState: boolean;
  /** The method of a dedicated (not aggregated) stream. */
  readonly method: string;
}

const PREFIX = 'type.googleapis.com/';

function resourceType(
  kind: ResourceKind,
  api: string,
  message: string,
  fullState: boolean,
  method: string,
): ResourceType {
  return { kind, api, typeUrl: PREFIX + message, message, fullState, method: `/envoy.service.${method}` };
}

/** In the order Envoy asks for them and a push should arrive: make before break. */
export const RESOURCE_TYPES: { readonly [K in ResourceKind]: ResourceType } = {
  cluster: resourceType(
    'cluster',
    'CDS',
    'envoy.config.cluster.v3.Cluster',
    true,
    'cluster.v3.ClusterDiscoveryService/StreamClusters',
  ),
  endpoints: resourceType(
    'endpoints',
    'EDS',
    'envoy.config.endpoint.v3.ClusterLoadAssignment',
    false,
    'endpoint.v3.EndpointDiscoveryService/StreamEndpoints',
  ),
  listener: resourceType(
    'listener',
    'LDS',
    'envoy.config.listener.v3.Listener',
    true,
    'listener.v3.ListenerDiscoveryService/StreamListeners',
  ),
  routes: resourceType(
    'routes',
    'RDS',
    'envoy.config.route.v3.RouteConfiguration',
    false,
    'route.v3.RouteDiscoveryService/StreamRoutes',
  ),
  secret: resourceType(
    'secret',
    'SDS',
    'envoy.extensions.transport_sockets.tls.v3.Secret',
    false,
    'secret.v3.SecretDiscoveryService/StreamSecrets',
  ),
};

export const RESOURCE_KINDS: readonly ResourceKind[] = ['cluster', 'endpoints', 'listener', 'routes', 'secret'];

export const AGGREGATED_METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';

/** The wrapper that carries a name, a version and a TTL around a resource. */
export const RESOURCE_WRAPPER = `${PREFIX}envoy.service.discovery.v3.Resource`;

/** The type of a type URL; `undefined` for one Tollway does not subscribe to. */
export function resourceTypeOf(typeUrl: string): ResourceType | undefined {
  for (const kind of RESOURCE_KINDS) {
    if (RESOURCE_TYPES[kind].typeUrl === typeUrl) return RESOURCE_TYPES[kind];
  }
  return undefined;
}
