/** `/config_dump`, as envoy.admin.v3.ConfigDump: resource, mask, name_regex and include_eds as in Envoy. */
import type { Json } from '../../../xds-client/model/common.ts';
import { type Answer, flag, isoTime, JSON_TYPE, nameFilter, type Page } from '../page.ts';
import { redact } from '../redact.ts';
import type { AdminSources, ConfigDump, DumpedResource, ErrorState } from '../sources.ts';

type Member = { [key: string]: Json };
type NameFilter = (name: string) => boolean;

const TYPE = 'type.googleapis.com/envoy.admin.v3.';

/** Message type of the elements of each list. */
const ELEMENTS: { readonly [field: string]: string } = {
  static_clusters: 'ClustersConfigDump.StaticCluster',
  dynamic_active_clusters: 'ClustersConfigDump.DynamicCluster',
  dynamic_warming_clusters: 'ClustersConfigDump.DynamicCluster',
  static_listeners: 'ListenersConfigDump.StaticListener',
  dynamic_listeners: 'ListenersConfigDump.DynamicListener',
  static_route_configs: 'RoutesConfigDump.StaticRouteConfig',
  dynamic_route_configs: 'RoutesConfigDump.DynamicRouteConfig',
  static_endpoint_configs: 'EndpointsConfigDump.StaticEndpointConfig',
  dynamic_endpoint_configs: 'EndpointsConfigDump.DynamicEndpointConfig',
  static_secrets: 'SecretsConfigDump.StaticSecret',
  dynamic_active_secrets: 'SecretsConfigDump.DynamicSecret',
  dynamic_warming_secrets: 'SecretsConfigDump.DynamicSecret',
};

export function configDumpPage(sources: AdminSources): Page {
  return {
    path: '/config_dump',
    help: 'dump current configs',
    parameters: [
      ['resource', 'The resource to dump'],
      ['mask', 'The mask to apply to the dump, or to every element of the resource'],
      ['name_regex', 'Dump only the configurations whose names match'],
      ['include_eds', 'Include endpoints'],
    ],
    answer: (parameters) => answer(sources.configDump(), parameters),
  };
}

function answer(dump: ConfigDump, parameters: URLSearchParams): Answer {
  const expression = parameters.get('name_regex');
  const filter = nameFilter(expression);
  if (typeof filter === 'object') {
    return failure(400, `INVALID_ARGUMENT: Error while parsing name_regex from ${expression}: ${filter.error}`);
  }
  const resource = parameters.get('resource');
  const all = configs(dump, filter, flag(parameters, 'include_eds') || (resource?.includes('endpoint') ?? false));
  let chosen: Member[];
  if (resource === null) chosen = all;
  else if (resource === 'bootstrap') chosen = [all[0] as Member];
  else {
    const element = ELEMENTS[resource];
    if (element === undefined) return failure(404, `${resource} not found in config dump`);
    const list = all.map((config) => config[resource]).find((found) => found !== undefined) ?? [];
    chosen = (list as Member[]).map((item) => ({ '@type': TYPE + element, ...item }));
  }
  const mask = parameters.get('mask');
  if (mask !== null && mask !== '') {
    const paths = mask.split(',').map((path) => path.trim().split('.'));
    const masked = chosen.map((config) => applyMask(config, paths)).filter((config) => config !== undefined);
    if (masked.length === 0 && chosen.length > 0)
      return failure(400, `FieldMask ${mask} could not be successfully applied to any configs.`);
    chosen = masked;
  }
  const body = JSON.stringify(
    chosen.length === 0 ? {} : { configs: chosen.map((config) => redact(config)) },
    undefined,
    1,
  );
  return { status: 200, type: JSON_TYPE, body: `${body}\n` };
}

function failure(status: number, body: string): Answer {
  return { status, type: 'text/plain', body };
}

function configs(dump: ConfigDump, filter: NameFilter | undefined, includeEds: boolean): Member[] {
  const keep = (resources: readonly DumpedResource[]): readonly DumpedResource[] =>
    filter === undefined ? resources : resources.filter(({ name }) => filter(name));
  const { clusters, listeners, routes, endpoints, secrets } = dump;
  const active = (resource: DumpedResource): boolean => resource.state !== 'warming';
  const warming = (resource: DumpedResource): boolean => resource.state === 'warming';
  const out: Member[] = [
    {
      '@type': `${TYPE}BootstrapConfigDump`,
      bootstrap: dump.bootstrap.resource(),
      last_updated: isoTime(dump.bootstrap.lastUpdated),
    },
    section('ClustersConfigDump', clusters.versionInfo, {
      static_clusters: keep(clusters.static).map((one) => plainMember('cluster', one)),
      dynamic_active_clusters: keep(clusters.dynamic)
        .filter(active)
        .map((one) => versioned('cluster', one)),
      dynamic_warming_clusters: keep(clusters.dynamic)
        .filter(warming)
        .map((one) => versioned('cluster', one)),
    }),
  ];
  if (includeEds) {
    out.push(
      section('EndpointsConfigDump', '', {
        // Envoy does not say since when.
        static_endpoint_configs: keep(endpoints.static).map((one) => ({ endpoint_config: one.resource?.() ?? {} })),
        dynamic_endpoint_configs: keep(endpoints.dynamic).map((one) => versioned('endpoint_config', one)),
      }),
    );
  }
  out.push(
    section('ListenersConfigDump', listeners.versionInfo, {
      static_listeners: keep(listeners.static).map((one) => plainMember('listener', one)),
      dynamic_listeners: dynamicListeners(keep(listeners.dynamic)),
    }),
    section('ScopedRoutesConfigDump', '', {}),
    section('RoutesConfigDump', '', {
      static_route_configs: keep(routes.static).map((one) => plainMember('route_config', one)),
      dynamic_route_configs: keep(routes.dynamic).map((one) => versioned('route_config', one)),
    }),
    section('SecretsConfigDump', '', {
      static_secrets: keep(secrets.static).map((one) => ({ name: one.name, ...plainMember('secret', one) })),
      dynamic_active_secrets: keep(secrets.dynamic)
        .filter(active)
        .map((one) => ({ name: one.name, ...versioned('secret', one) })),
      dynamic_warming_secrets: keep(secrets.dynamic)
        .filter(warming)
        .map((one) => ({ name: one.name, ...versioned('secret', one) })),
    }),
  );
  return out;
}

/** Empty lists and versions are left out, as in proto JSON. */
function section(type: string, version: string, lists: { readonly [field: string]: Member[] }): Member {
  const out: Member = { '@type': TYPE + type };
  if (version !== '') out.version_info = version;
  for (const [field, list] of Object.entries(lists)) if (list.length > 0) out[field] = list;
  return out;
}

function plainMember(field: string, one: DumpedResource): Member {
  return { ...(one.resource === undefined ? {} : { [field]: one.resource() }), last_updated: isoTime(one.lastUpdated) };
}

function versioned(field: string, one: DumpedResource): Member {
  const out: Member = {};
  if (one.versionInfo !== '') out.version_info = one.versionInfo;
  Object.assign(out, plainMember(field, one));
  if (one.error !== undefined) out.error_state = errorState(one.error);
  return out;
}

function errorState(error: ErrorState): Member {
  return {
    last_update_attempt: isoTime(error.lastUpdateAttempt),
    details: error.details,
    version_info: error.versionInfo,
  };
}

/** A listener may be active, warming and draining at once: one element a name. */
function dynamicListeners(resources: readonly DumpedResource[]): Member[] {
  const byName = new Map<string, Member>();
  for (const one of resources) {
    let member = byName.get(one.name);
    if (member === undefined) {
      member = { name: one.name };
      byName.set(one.name, member);
    }
    if (one.resource !== undefined) {
      const { error_state: _, ...state } = versioned('listener', one);
      member[`${one.state}_state`] = state;
    }
    if (one.error !== undefined) member.error_state = errorState(one.error);
  }
  return [...byName.values()];
}

/** What a FieldMask keeps of a message; `undefined` when it keeps nothing. */
function applyMask(message: Member, paths: readonly (readonly string[])[]): Member | undefined {
  const out: Member = {};
  let kept = false;
  for (const [head, ...rest] of paths) {
    const value = head === undefined ? undefined : message[head];
    if (head === undefined || value === undefined) continue;
    const inner = rest.length === 0 ? value : within(value, rest);
    if (inner === undefined) continue;
    const before = out[head];
    out[head] = isMember(before) && isMember(inner) ? { ...before, ...inner } : inner;
    kept = true;
  }
  if (!kept) return undefined;
  return message['@type'] === undefined ? out : { '@type': message['@type'], ...out };
}

function within(value: Json, path: readonly string[]): Json | undefined {
  if (Array.isArray(value)) return value.map((item) => within(item, path) ?? {});
  return isMember(value) ? applyMask(value, [path]) : undefined;
}

function isMember(value: Json | undefined): value is Member {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
