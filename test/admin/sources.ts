/** Sources that mirror the Envoy process whose pages are in test/fixtures/envoy-admin. */
import type { AdminSources, ConfigDump, DumpedKind, DumpedResource } from '../../proxy/admin/sources.ts';
import type { EndpointStatus } from '../../proxy/cluster/contract.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import type { Json } from '../../xds-client/model/common.ts';

const LIMITS = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };

function endpoint(host: string, port: number, more: Partial<EndpointStatus>): EndpointStatus {
  return {
    address: { kind: 'socket', host, port },
    hostname: '',
    locality: { region: 'r', zone: 'z', subZone: 's' },
    priority: 0,
    weight: 1,
    canary: false,
    edsHealth: 'unknown',
    healthFlags: new Set(),
    healthCheck: { port: undefined, hostname: '' },
    stats: {},
    ...more,
  };
}

export function dumped(name: string, at: string, resource: Json, more: Partial<DumpedResource> = {}): DumpedResource {
  return {
    name,
    resource: () => resource,
    versionInfo: '',
    lastUpdated: Date.parse(at),
    state: 'active',
    error: undefined,
    ...more,
  };
}

export const NOTHING: DumpedKind = { versionInfo: '', static: [], dynamic: [] };

export function sources(calls: string[] = [], dump: Partial<ConfigDump> = {}): AdminSources & { failing: boolean } {
  const levels = new Map([
    ['http', 'info'],
    ['router', 'info'],
  ]);
  const made: AdminSources & { failing: boolean } = {
    failing: false,
    stats: new MainStats(),
    serverInfo: () => ({
      version: 'abc/0.1.0/Clean/RELEASE/OpenSSL',
      state: made.failing ? 'DRAINING' : 'LIVE',
      uptimeSeconds: 10.7,
      commandLineOptions: { concurrency: 2, config_path: 'envoy.yaml' },
      node: { id: 'node-1', cluster: 'svc' },
    }),
    configDump: () => ({
      bootstrap: { resource: () => ({ node: { id: 'node-1' } }), lastUpdated: Date.parse('2026-11-21T12:12:48.306Z') },
      clusters: NOTHING,
      listeners: NOTHING,
      routes: NOTHING,
      endpoints: NOTHING,
      secrets: NOTHING,
      ...dump,
    }),
    clusters: () => [
      {
        name: 'svc.one',
        observabilityName: 'svc.one',
        addedViaApi: false,
        edsServiceName: undefined,
        thresholds: { default: { ...LIMITS, maxConnections: 100 }, high: LIMITS },
        endpoints: [
          endpoint('127.0.0.1', 28901, {
            hostname: 'h1',
            stats: { cx_active: 2, cx_total: 2, rq_success: 6, rq_total: 6 },
          }),
          endpoint('127.0.0.1', 28999, { edsHealth: 'unhealthy' }),
        ],
      },
      {
        name: 'tlsc',
        observabilityName: 'tlsc',
        addedViaApi: false,
        edsServiceName: undefined,
        thresholds: { default: LIMITS, high: LIMITS },
        endpoints: [endpoint('::1', 28998, { hostname: 'localhost', locality: { region: '', zone: '', subZone: '' } })],
      },
    ],
    listeners: () => [{ name: 'main', addresses: [{ kind: 'socket', host: '127.0.0.1', port: 28910 }] }],
    certificates: () => [],
    unsupported: () => [{ field: 'envoy.x.Y.z', reason: 'not yet', count: 2, where: ['listener main: z'] }],
    runtime: () => ({
      layers: ['s', 'admin'],
      entries: { 'a.b': { finalValue: '3', layerValues: ['3', ''] } },
    }),
    logLevels: () => levels,
    actions: {
      setHealthFailing: (failing) => {
        made.failing = failing;
      },
      drainListeners: (options) => calls.push(`drain ${JSON.stringify(options)}`),
      quit: () => calls.push('quit'),
      reopenLogs: () => calls.push('reopen'),
      modifyRuntime: (changes) => calls.push(`runtime ${JSON.stringify([...changes])}`) > 0,
      setLogLevel: (component, level) => {
        for (const name of component === undefined ? levels.keys() : [component]) levels.set(name, level);
        return true;
      },
    },
  };
  return made;
}
