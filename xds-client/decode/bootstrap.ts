/** The bootstrap: what is in the file, and where the rest comes from. */
import type { MessageObject } from '../../protos/index.ts';
import type { Bootstrap, Node } from '../model/bootstrap.ts';
import type { Json } from '../model/common.ts';
import { decodeAccessLogs } from './access-log.ts';
import { decodeCluster } from './cluster.ts';
import { decodeAddress, decodeConfigSource, decodeGrpcServices, duration, each, inside } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { decodeLocality } from './endpoint.ts';
import { decodeExtension } from './extension.ts';
import { any, has, message, messages, text, textOrNone, word } from './fields.ts';
import { decodeIdentity } from './identity.ts';
import { inspect } from './inspect.ts';
import { decodeListener } from './listener.ts';
import { structToJson } from './struct.ts';
import { decodeSecret } from './tls-material.ts';

const BOOTSTRAP = 'envoy.config.bootstrap.v3';
const RESOLVER = 'names are resolved by the system, whichever resolver is named';
const WATCHDOG = 'there is no watchdog';

support(`${BOOTSTRAP}.Bootstrap`, {
  acts: ['node', 'static_resources', 'dynamic_resources', 'layered_runtime', 'admin', 'bootstrap_extensions'],
  ignored: {
    stats_flush_interval: 'statistics are always current at the admin port',
    node_context_params: 'federation is not built',
    cluster_manager: 'its settings are left at their defaults',
    hds_config: 'health is not reported to a health discovery service',
    flags_path: 'flags are not read from files',
    stats_sinks: 'statistics are scraped at the admin port',
    deferred_stat_options: 'statistics are made when they are needed',
    stats_config: 'tags and buckets are the default ones',
    stats_flush_on_admin: 'statistics are always current at the admin port',
    watchdog: WATCHDOG,
    watchdogs: WATCHDOG,
    tracing: 'give the provider in the connection manager',
    overload_manager: 'there is no overload manager',
    enable_dispatcher_stats: 'these statistics are not kept',
    stats_server_version_override: "server.version is Tollway's own",
    use_tcp_for_dns_lookups: RESOLVER,
    dns_resolution_config: RESOLVER,
    typed_dns_resolver_config: RESOLVER,
    fatal_actions: 'a crash has no hooks',
    config_sources: 'federation is not built',
    default_config_source: 'federation is not built',
    default_socket_interface: "sockets are Node's",
    certificate_provider_instances: 'certificate providers are not built; who names one is refused',
    inline_headers: 'all headers are kept alike',
    perf_tracing_file_path: 'performance traces are not written',
    xds_delegate_extension: 'configuration is kept on disk by Tollway itself',
    xds_config_tracker_extension: 'custom trackers are not built',
    application_log_config: 'set the format with --log-format',
    grpc_async_client_manager_config: 'gRPC clients live as long as their cluster',
    memory_allocator_manager: "memory is V8's",
  },
  refused: {
    header_prefix: 'the prefix is x-envoy',
    default_regex_engine: 'RE2 is the only engine',
    listener_manager: 'custom listener managers are not built',
  },
});
support(`${BOOTSTRAP}.Bootstrap.StaticResources`, { acts: ['listeners', 'clusters', 'secrets'] });
support(`${BOOTSTRAP}.Bootstrap.DynamicResources`, {
  acts: ['lds_config', 'cds_config', 'ads_config'],
  refused: {
    lds_resources_locator: 'collections by xdstp:// locator are not built; every listener is asked for',
    cds_resources_locator: 'collections by xdstp:// locator are not built; every cluster is asked for',
  },
});
support(`${BOOTSTRAP}.Admin`, {
  acts: ['access_log', 'access_log_path', 'address'],
  ignored: {
    profile_path: 'profiles are not written',
    socket_options: 'Node sets no socket options of its own choice',
    ignore_global_conn_limit: 'there is no global limit',
  },
});
support(`${BOOTSTRAP}.LayeredRuntime`, { acts: ['layers'] });
support(`${BOOTSTRAP}.RuntimeLayer`, {
  acts: ['name', 'static_layer'],
  ignored: {
    disk_layer: 'runtime values come from static layers',
    admin_layer: 'runtime values cannot be changed at the admin port yet',
    rtds_layer: 'runtime values come from static layers',
  },
});
support('envoy.config.core.v3.Node', {
  acts: ['id', 'cluster', 'metadata', 'locality'],
  ignored: {
    dynamic_parameters: 'federation is not built',
    user_agent_name: 'Tollway says its own name',
    user_agent_version: 'Tollway says its own version',
    user_agent_build_version: 'Tollway says its own version',
    extensions: 'Tollway says its own extensions',
    client_features: 'Tollway says its own features',
    listening_addresses: 'the addresses are those of the listeners',
  },
});

function decodeNode(node: MessageObject | undefined): Node {
  return {
    id: text(node, 'id'),
    cluster: text(node, 'cluster'),
    metadata: structToJson(message(node, 'metadata')),
    locality: has(node, 'locality') ? decodeLocality(message(node, 'locality')) : undefined,
  };
}

/** `{"a": {"b": 1}}` and `{"a.b": 1}` name the same key. A fraction is one value: its members are not keys of their own. */
function flatten(value: Json, prefix: string, into: [string, Json][]): void {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || 'numerator' in value) {
    into.push([prefix, value]);
    return;
  }
  for (const [key, inner] of Object.entries(value)) flatten(inner, prefix === '' ? key : `${prefix}.${key}`, into);
}

function decodeRuntime(bootstrap: MessageObject, ctx: DecodeContext): Bootstrap['runtime'] {
  const values: [string, Json][] = [];
  const names = new Set<string>();
  inside(bootstrap, 'layered_runtime', ctx, (runtime) =>
    each(runtime, 'layers', ctx, (layer) => {
      const name = text(layer, 'name');
      if (names.has(name)) ctx.error(`Duplicate layer name: ${name}`, 'name');
      names.add(name);
      for (const [key, value] of Object.entries(structToJson(message(layer, 'static_layer'))))
        flatten(value, key, values);
    }),
  );
  return Object.fromEntries(values);
}

function decodeAdmin(admin: MessageObject, ctx: DecodeContext): Bootstrap['admin'] {
  if (!has(admin, 'address')) return undefined;
  const address = ctx.at('address', () => decodeAddress(message(admin, 'address'), ctx));
  const path = textOrNone(admin, 'access_log_path');
  const logs = decodeAccessLogs(admin, 'access_log', ctx);
  if (path === undefined) return { address, accessLogs: logs };
  const file = {
    name: 'envoy.access_loggers.file',
    filter: undefined,
    sink: { kind: 'file', path, format: undefined },
  } as const;
  return { address, accessLogs: [...logs, file] };
}

const ADS_TYPES: { readonly [type: string]: boolean } = {
  GRPC: false,
  DELTA_GRPC: true,
  AGGREGATED_GRPC: false,
  AGGREGATED_DELTA_GRPC: true,
};

function decodeAds(source: MessageObject, ctx: DecodeContext): Bootstrap['ads'] {
  const type = word(source, 'api_type', 'DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE');
  const delta = ADS_TYPES[type];
  if (delta === undefined) ctx.error(`${type} is not supported: use GRPC or DELTA_GRPC`, 'api_type');
  const version = word(source, 'transport_api_version', 'AUTO');
  if (version !== 'V3') {
    ctx.error(
      'V2 xDS transport protocol version is deprecated, set transport_api_version: V3',
      'transport_api_version',
    );
  }
  const services = decodeGrpcServices(source, ctx);
  if (services.length === 0) ctx.error('needs one gRPC service, has 0', 'grpc_services');
  return { services, delta: delta ?? false };
}

/** Names within one list have to be each of one resource. */
function checkUnique(kind: string, list: string, names: readonly string[], ctx: DecodeContext): void {
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    if (name !== '' && seen.has(name)) {
      ctx.at(list, () => ctx.at(index, () => ctx.error(`${kind}: duplicate ${kind} '${name}' found`, 'name')));
    }
    seen.add(name);
  }
}

function decodeStatic(bootstrap: MessageObject, ctx: DecodeContext) {
  const resources = message(bootstrap, 'static_resources');
  // The control plane has sent nothing yet: routes can lead to the bootstrap's own clusters only.
  const names = new Set(messages(resources, 'clusters').map((cluster) => text(cluster, 'name')));
  ctx.checks = { ...ctx.checks, knowsCluster: (name) => names.has(name) };
  return ctx.at('static_resources', () => {
    const listeners = each(resources, 'listeners', ctx, (listener) => decodeListener(listener, ctx));
    const clusters = each(resources, 'clusters', ctx, (cluster) => decodeCluster(cluster, ctx));
    const secrets = each(resources, 'secrets', ctx, (secret) => decodeSecret(secret, ctx));
    checkUnique(
      'listener',
      'listeners',
      listeners.map(({ name }) => name),
      ctx,
    );
    checkUnique(
      'cluster',
      'clusters',
      clusters.map(({ name }) => name),
      ctx,
    );
    checkUnique(
      'secret',
      'secrets',
      secrets.map(({ name }) => name),
      ctx,
    );
    return { listeners, clusters, secrets };
  });
}

/** The control plane has to be reachable before it is asked: through `ads_config`, and clusters of the bootstrap. */
function checkSources({ lds, cds, ads }: Pick<Bootstrap, 'lds' | 'cds' | 'ads'>, ctx: DecodeContext): void {
  for (const [field, source] of Object.entries({ lds_config: lds, cds_config: cds })) {
    if (source?.kind === 'ads' && ads === undefined) ctx.error('needs ads_config, which is not set', `${field}.ads`);
  }
  for (const [index, { cluster }] of ads?.services.entries() ?? []) {
    if (cluster === '' || ctx.checks.knowsCluster(cluster)) continue;
    ctx.error(`unknown cluster '${cluster}'`, `ads_config.grpc_services[${index}].envoy_grpc.cluster_name`);
  }
}

const DEFAULT_FLUSH_MS = 5000;

/** envoy Bootstrap, inspected and decoded; findings go to `ctx`. */
export function decodeBootstrapMessage(bootstrap: MessageObject, ctx: DecodeContext): Bootstrap {
  inspect('envoy.config.bootstrap.v3.Bootstrap', bootstrap, ctx);
  each(bootstrap, 'bootstrap_extensions', ctx, (extension) =>
    decodeExtension('bootstrap-extension', any(extension, 'typed_config'), text(extension, 'name'), ctx),
  );
  const dynamic = message(bootstrap, 'dynamic_resources');
  // Above the static resources: they tell which clusters the control plane is reached through.
  const sources = ctx.at('dynamic_resources', () => ({
    lds: inside(dynamic, 'lds_config', ctx, (source) => decodeConfigSource(source, ctx)),
    cds: inside(dynamic, 'cds_config', ctx, (source) => decodeConfigSource(source, ctx)),
    ads: inside(dynamic, 'ads_config', ctx, (source) => decodeAds(source, ctx)),
  }));
  const fixed = decodeStatic(bootstrap, ctx);
  ctx.at('dynamic_resources', () => checkSources(sources, ctx));
  const node = decodeNode(message(bootstrap, 'node'));
  return {
    node,
    ...sources,
    ...fixed,
    identity: decodeIdentity(node, fixed.clusters, ctx),
    admin: inside(bootstrap, 'admin', ctx, (admin) => decodeAdmin(admin, ctx)),
    statsFlushIntervalMs: duration(bootstrap, 'stats_flush_interval', ctx) ?? DEFAULT_FLUSH_MS,
    statsPrefix: undefined,
    runtime: decodeRuntime(bootstrap, ctx),
  };
}
