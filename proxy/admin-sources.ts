/** What the admin interface shows, read from the wired parts. */

import { type Any, decodeMessage, toJson } from '../protos/index.ts';
import { redactResource } from '../xds-client/decode/index.ts';
import type { Json } from '../xds-client/model/common.ts';
import { RESOURCE_TYPES, type ResourceKind } from '../xds-client/resource-types.ts';
import type { AdminSources, DumpedKind, DumpedResource } from './admin/sources.ts';
import type { App } from './app.ts';
import { clusterStatuses } from './cluster/status.ts';
import { parseLogLevel } from './log.ts';
import { FULL_VERSION } from './version.ts';

const BOOTSTRAP = 'envoy.config.bootstrap.v3.Bootstrap';

export function adminSources(app: App): AdminSources {
  const { context } = app;
  const { bootstrap, message } = context.loaded;
  return {
    stats: app.stats,
    serverInfo: () => ({
      version: FULL_VERSION,
      state: app.state,
      uptimeSeconds: Math.floor((Date.now() - app.startedAt) / 1000),
      commandLineOptions: { config_path: context.options.configPath ?? '', concurrency: context.options.concurrency },
      node: { id: bootstrap.node.id, cluster: bootstrap.node.cluster, metadata: bootstrap.node.metadata },
    }),
    configDump: () => ({
      bootstrap: {
        resource: () => ({
          '@type': `type.googleapis.com/${BOOTSTRAP}`,
          ...(toJson(BOOTSTRAP, redactResource(BOOTSTRAP, message)) as { [key: string]: Json }),
        }),
        lastUpdated: app.startedAt,
      },
      clusters: dumped(app, 'cluster', message.static_resources?.clusters ?? []),
      listeners: dumped(app, 'listener', message.static_resources?.listeners ?? []),
      routes: dumped(app, 'routes', []),
      endpoints: dumped(app, 'endpoints', []),
      secrets: dumped(app, 'secret', message.static_resources?.secrets ?? []),
    }),
    clusters: () => {
      const fixed = new Set(bootstrap.clusters.map(({ name }) => name));
      return clusterStatuses(app.directory).map((status) => ({ ...status, addedViaApi: !fixed.has(status.name) }));
    },
    listeners: () => app.board.list(),
    certificates: () => app.secrets.certificates(),
    unsupported: () => app.unsupported.list(),
    runtime: () => ({
      layers: ['bootstrap'],
      entries: Object.fromEntries(
        Object.entries(bootstrap.runtime).map(([key, value]) => [
          key,
          { finalValue: String(value), layerValues: [String(value)] },
        ]),
      ),
    }),
    logLevels: () => context.log.levels(),
    actions: {
      setHealthFailing: (failing) => {
        app.state = failing ? 'DRAINING' : 'LIVE';
      },
      drainListeners: ({ graceful, inboundOnly, skipExit }) => app.drainListeners(inboundOnly, graceful, skipExit),
      quit: () => void app.stop(),
      reopenLogs: () => app.reopenLogs(),
      modifyRuntime: () => false,
      setLogLevel: (component, text) => {
        const level = parseLogLevel(text);
        if (level === undefined || (component !== undefined && !context.log.levels().has(component))) return false;
        app.setLogLevel(component, level);
        return true;
      },
    },
  };
}

function dumped(app: App, kind: ResourceKind, fixed: readonly { readonly name?: string }[]): DumpedKind {
  const type = RESOURCE_TYPES[kind].message;
  const json = (object: object): Json => ({
    '@type': `type.googleapis.com/${type}`,
    ...(toJson(type, redactResource(type, { ...object })) as { [key: string]: Json }),
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
    static: fixed.map((object) => ({
      name: object.name ?? '',
      resource: () => json(object),
      versionInfo: '',
      lastUpdated: app.startedAt,
      state: 'active',
      error: undefined,
    })),
    dynamic,
  };
}
