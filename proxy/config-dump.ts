/** What `/config_dump` shows: the configuration as it was given, read from the bootstrap and the subscriptions. */
import { type Any, decodeMessage, toJson } from '../protos/index.ts';
import { redactResource } from '../xds-client/decode/index.ts';
import type { Address, Json } from '../xds-client/model/common.ts';
import { RESOURCE_TYPES, type ResourceKind } from '../xds-client/resource-types.ts';
import type { ConfigDump, DumpedKind, DumpedResource } from './admin/sources.ts';
import type { App } from './app.ts';
import type { ClusterStatus, EndpointStatus } from './cluster/contract.ts';
import { clusterStatuses } from './cluster/status.ts';

const BOOTSTRAP = 'envoy.config.bootstrap.v3.Bootstrap';
const ROUTES = 'envoy.config.route.v3.RouteConfiguration';
const ASSIGNMENT = 'envoy.config.endpoint.v3.ClusterLoadAssignment';

type Members = { readonly [key: string]: Json };

export function configDump(app: App): ConfigDump {
  const message = app.context.loaded.message();
  const listeners = dumped(app, 'listener', message.static_resources?.listeners ?? []);
  return {
    bootstrap: {
      resource: () => toJson(BOOTSTRAP, redactResource(BOOTSTRAP, message)) as Json,
      lastUpdated: app.startedAt,
    },
    clusters: dumped(app, 'cluster', message.static_resources?.clusters ?? []),
    listeners,
    routes: { ...dumped(app, 'routes', []), static: inlineRoutes(listeners) },
    endpoints: { ...dumped(app, 'endpoints', []), static: fixedEndpoints(app) },
    secrets: dumped(app, 'secret', message.static_resources?.secrets ?? []),
  };
}

function dumped(app: App, kind: ResourceKind, fixed: readonly { readonly name?: string }[]): DumpedKind {
  const type = RESOURCE_TYPES[kind].message;
  const json = (object: object): Json => ({
    '@type': `type.googleapis.com/${type}`,
    ...(toJson(type, redactResource(type, { ...object })) as Members),
  });
  const dynamic: DumpedResource[] = [];
  let versionInfo = '';
  const decoded = (any: Any) => () => json(decodeMessage(type, any.value ?? Buffer.alloc(0)));
  for (const subscription of app.configuration.subscriptions(kind)) {
    versionInfo = subscription.acceptedVersion() || versionInfo;
    const refused = subscription.refused();
    for (const [name, held] of subscription.held()) {
      const error = refused.get(name);
      dynamic.push({
        name,
        resource: decoded(held.any),
        versionInfo: held.version,
        lastUpdated: held.updatedAt,
        state: 'active',
        error:
          error === undefined
            ? undefined
            : { details: error.details, versionInfo: error.version, lastUpdateAttempt: error.refusedAt },
      });
    }
    for (const [name, error] of refused) {
      if (subscription.held().has(name)) continue;
      dynamic.push({
        name,
        resource: undefined,
        versionInfo: '',
        lastUpdated: 0,
        state: 'warming',
        error: { details: error.details, versionInfo: error.version, lastUpdateAttempt: error.refusedAt },
      });
    }
  }
  return {
    versionInfo,
    static: fixed.map((object) => fixedResource(app, object.name ?? '', () => json(object))),
    dynamic,
  };
}

function fixedResource(app: App, name: string, resource: () => Json): DumpedResource {
  return { name, resource, versionInfo: '', lastUpdated: app.startedAt, state: 'active', error: undefined };
}

/** Route tables that listeners carry in place, the control plane's listeners included. */
function inlineRoutes(listeners: DumpedKind): DumpedResource[] {
  const found: DumpedResource[] = [];
  for (const listener of [...listeners.static, ...listeners.dynamic]) {
    const json = listener.resource?.();
    for (const chain of [...list(json, 'filter_chains'), member(json, 'default_filter_chain')]) {
      for (const filter of list(chain, 'filters')) {
        const table = member(member(filter, 'typed_config'), 'route_config');
        if (table === undefined) continue;
        const name = member(table, 'name');
        found.push({
          ...listener,
          name: typeof name === 'string' ? name : '',
          resource: () => ({ '@type': `type.googleapis.com/${ROUTES}`, ...(table as Members) }),
          error: undefined,
        });
      }
    }
  }
  return found;
}

function member(of: Json | undefined, key: string): Json | undefined {
  if (typeof of !== 'object' || of === null || Array.isArray(of)) return undefined;
  return (of as Members)[key];
}

function list(of: Json | undefined, key: string): readonly Json[] {
  const found = member(of, key);
  return Array.isArray(found) ? found : [];
}

/** The endpoints of the bootstrap's clusters as they are used: names resolved. */
function fixedEndpoints(app: App): DumpedResource[] {
  const fixed = new Set(app.context.loaded.bootstrap.clusters.map(({ name }) => name));
  return clusterStatuses(app.directory)
    .filter(({ name }) => fixed.has(name))
    .map((status) => fixedResource(app, status.name, () => assignmentJson(status)));
}

function assignmentJson({ name, endpoints }: ClusterStatus): Json {
  const localities = new Map<string, EndpointStatus[]>();
  for (const endpoint of endpoints) {
    const key = JSON.stringify([endpoint.priority, endpoint.locality]);
    const group = localities.get(key);
    if (group === undefined) localities.set(key, [endpoint]);
    else group.push(endpoint);
  }
  return {
    '@type': `type.googleapis.com/${ASSIGNMENT}`,
    cluster_name: name,
    endpoints: [...localities.values()].map(localityJson),
    policy: { overprovisioning_factor: 140 },
  };
}

function localityJson(group: readonly EndpointStatus[]): Json {
  const { locality, priority } = group[0] as EndpointStatus;
  return {
    locality: {
      ...(locality.region === '' ? {} : { region: locality.region }),
      ...(locality.zone === '' ? {} : { zone: locality.zone }),
      ...(locality.subZone === '' ? {} : { sub_zone: locality.subZone }),
    },
    lb_endpoints: group.map((endpoint) => ({
      endpoint: {
        address: addressJson(endpoint.address),
        health_check_config: checkJson(endpoint),
        ...(endpoint.hostname === '' ? {} : { hostname: endpoint.hostname }),
      },
      health_status: healthText(endpoint),
      metadata: {},
      load_balancing_weight: endpoint.weight,
    })),
    load_balancing_weight: 0,
    ...(priority === 0 ? {} : { priority }),
  };
}

function checkJson({ healthCheck: { port, hostname } }: EndpointStatus): Json {
  return { ...(port === undefined ? {} : { port_value: port }), ...(hostname === '' ? {} : { hostname }) };
}

function addressJson(address: Address): Json {
  if (address.kind === 'pipe') return { pipe: { path: address.path } };
  return { socket_address: { address: address.host, port_value: address.port } };
}

/** Envoy's coarse health: what the control plane said together with what the proxy found out. */
function healthText({ edsHealth, healthFlags }: EndpointStatus): string {
  if (healthFlags.has('failedActiveHealthCheck') || healthFlags.has('failedOutlierCheck')) return 'UNHEALTHY';
  if (edsHealth === 'degraded') return 'DEGRADED';
  if (edsHealth !== 'unknown' && edsHealth !== 'healthy') return 'UNHEALTHY';
  return healthFlags.has('degradedActiveHealthCheck') ? 'DEGRADED' : 'HEALTHY';
}
