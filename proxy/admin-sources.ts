/** What the admin interface shows, read from the wired parts. */

import type { Node } from '../xds-client/model/bootstrap.ts';
import type { Json } from '../xds-client/model/common.ts';
import type { AdminSources } from './admin/sources.ts';
import type { App } from './app.ts';
import { clusterStatuses } from './cluster/status.ts';
import { configDump } from './config-dump.ts';
import { parseLogLevel } from './log.ts';
import { FULL_VERSION, VERSION } from './version.ts';

export function adminSources(app: App): AdminSources {
  const { context } = app;
  const { bootstrap } = context.loaded;
  return {
    stats: app.stats,
    serverInfo: () => ({
      version: FULL_VERSION,
      state: app.state,
      uptimeSeconds: Math.floor((Date.now() - app.startedAt) / 1000),
      commandLineOptions: { config_path: context.options.configPath ?? '', concurrency: context.options.concurrency },
      node: nodeJson(bootstrap.node),
    }),
    configDump: () => configDump(app),
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
      setHealthFailing: (failing) => app.setHealthFailing(failing),
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

/** envoy.config.core.v3.Node, with the members that Envoy always prints. */
function nodeJson({ id, cluster, metadata, locality }: Node): { readonly [name: string]: Json } {
  return {
    id,
    cluster,
    metadata,
    ...(locality === undefined
      ? {}
      : { locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone } }),
    user_agent_name: 'tollway',
    user_agent_version: VERSION,
    extensions: [],
    client_features: [],
    listening_addresses: [],
    dynamic_parameters: {},
  };
}
