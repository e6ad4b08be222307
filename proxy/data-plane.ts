/** The data side of one worker, wired: takes the main thread's messages in, posts what it has to say. */
import type { Json } from '../xds-client/model/common.ts';
import type { Listener } from '../xds-client/model/listener.ts';
import { WorkerClusterTable } from './cluster/table.ts';
import { HttpConnectionManagerFactory } from './filters/network/http-connection-manager/manager.ts';
import { TcpProxyFactory } from './filters/network/tcp-proxy/factory.ts';
import { readSlabs } from './http/bytes.ts';
import { tellInternalFaults } from './http/internal-fault.ts';
import { WorkerListeners } from './listener/worker-listeners.ts';
import { createLog, type Log } from './log.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { originalDestinations } from './native/original-destination.ts';
import { nodeAddress } from './node-address.ts';
import { LoggerFactory } from './observe/access-log/logger.ts';
import { LineQueue } from './observe/access-log/queue.ts';
import { WorkerStats } from './observe/stats/worker-stats.ts';
import { SpanQueue } from './observe/tracing/queue.ts';
import { WorkerTracerFactory } from './observe/tracing/tracer.ts';
import { httpFilter, networkFilter } from './registry.ts';
import { createRequestIds } from './request-id.ts';
import { HeaderTest } from './route/header-match.ts';
import { RouteDirectory } from './route-directory.ts';
import { RuntimeValues } from './runtime.ts';
import { SharedNumberTable } from './shared-numbers.ts';
import { collector } from './spent-memory.ts';
import { createTimers, type TimerWheel } from './timers.ts';
import { ConnectionLives } from './tls/lives.ts';
import { WorkerTlsProvider } from './tls/provider.ts';
import { type SecretPayload, SecretTable } from './tls/secret-table.ts';
import { createTurnClock } from './turn-clock.ts';
import type { WorkerSettings } from './worker-settings.ts';

/** How often a draining worker says what is still under way. */
const DRAIN_REPORT_MS = 100;
/** Read slabs that nobody needed for so long are let go. */
const SLAB_TRIM_MS = 10_000;

const now = createTurnClock(
  () => performance.now(),
  (callback) => setImmediate(callback),
);
/** Load balancing and sampling; nothing secret comes of it. */
const random = (): number => Math.random();

export class DataPlane {
  private readonly post: (message: FromWorker) => void;
  private readonly log: Log;
  private readonly stats: WorkerStats;
  private readonly lines: LineQueue;
  private readonly spans: SpanQueue;
  private readonly secrets = new SecretTable();
  private readonly runtime = new RuntimeValues();
  private readonly routes = new RouteDirectory((key) => this.runtime.share(key));
  private readonly server: { healthFailing: boolean; readonly cluster: string };
  private readonly clusters: WorkerClusterTable;
  private readonly listeners: WorkerListeners;
  private readonly collect = collector();
  private reporting: NodeJS.Timeout | undefined;
  private readonly trimming = setInterval(() => readSlabs.trim(), SLAB_TRIM_MS).unref();

  constructor(settings: WorkerSettings, post: (message: FromWorker) => void) {
    this.post = post;
    this.server = { healthFailing: false, cluster: settings.serviceCluster };
    this.log = createLog({
      level: settings.logLevel,
      componentLevels: settings.componentLogLevels,
      sink: ({ level, component, message, fields }) => post({ type: 'log', level, component, message, fields }),
    });
    const faults = this.log.component('main');
    tellInternalFaults((message) => faults.error({}, message));
    this.stats = new WorkerStats((json, buffers) => post({ type: 'stats', json, buffers }));
    this.lines = new LineQueue((sink, lines) => post({ type: 'access-log', sink, lines }));
    this.spans = new SpanQueue((spans) => post({ type: 'spans', spans }));
    const tlsLog = this.log.component('connection');
    const timers = createTimers(now);
    const lives = new ConnectionLives({
      timers,
      wallClock: Date.now,
      now,
      random,
      number: (key) => this.runtime.number(key),
      log: (message) => {
        if (tlsLog.enabled('debug')) tlsLog.debug({}, message());
      },
    });
    const tls = new WorkerTlsProvider(this.secrets, Date.now, (message) => tlsLog.error({}, message), lives);
    this.clusters = new WorkerClusterTable({
      stats: this.stats,
      tls,
      now,
      random,
      onImmediateFailure: (cluster, address) => post({ type: 'immediate-failure', cluster, address }),
    });
    this.listeners = this.wireListeners(settings, tls, timers);
    post({ type: 'ready' });
  }

  handle(message: ToWorker): void {
    if (this.clusters.handle(message)) return;
    switch (message.type) {
      case 'listener':
        void this.listeners.set(JSON.parse(message.json) as Listener, message.bound);
        return;
      case 'listener-removed':
        void this.listeners.remove(message.name, message.drainMs);
        return;
      case 'routes':
        this.routes.set(message.name, message.json);
        return;
      case 'routes-removed':
        this.routes.remove(message.name);
        return;
      case 'secret':
        this.secrets.set(message.key, JSON.parse(message.json) as SecretPayload);
        return;
      case 'secret-removed':
        this.secrets.delete(message.key);
        return;
      case 'runtime':
        this.runtime.set(JSON.parse(message.json) as { readonly [key: string]: Json });
        return;
      case 'drain':
        this.listeners.drain(message.scope, message.strategy, message.drainMs);
        this.report();
        return;
      case 'health':
        this.server.healthFailing = message.failing;
        this.listeners.setHealthFailing(message.failing);
        return;
      case 'stop-listening':
        this.listeners.stopListening(message.inboundOnly);
        return;
      case 'stop':
        this.stop();
        return;
      case 'settled':
        // A collection stops the thread for tens of milliseconds: never under traffic.
        if (this.listeners.counts().streams === 0) this.collect();
        return;
      case 'log-level':
        if (message.component === undefined) this.log.setLevel(message.level);
        else this.log.setComponentLevel(message.component, message.level);
        return;
      default:
        return;
    }
  }

  private wireListeners(settings: WorkerSettings, tls: WorkerTlsProvider, timers: TimerWheel): WorkerListeners {
    const accessLogs = new LoggerFactory({
      queue: this.lines,
      headerMatcher: (match) => {
        const compiled = new HeaderTest(match);
        return (head) => compiled.matchesRequest(head);
      },
      random,
      runtimeNumber: (key) => this.runtime.number(key),
      clusterMetadata: (name) => this.clusters.get(name)?.config.metadata,
      defaultLog: this.log.component('http').enabled('info'),
    });
    const tracers = new WorkerTracerFactory({
      queue: this.spans,
      node: { nodeId: settings.serviceNode, zone: settings.serviceZone },
      random,
    });
    const manager = new HttpConnectionManagerFactory({
      clusters: this.clusters,
      routeTables: this.routes,
      accessLogs,
      tracers,
      httpFilters: { get: httpFilter },
      timers,
      runtime: this.runtime,
      server: this.server,
      nodeAddress: nodeAddress(),
      wallClock: Date.now,
      requestId: createRequestIds(),
    });
    let connections = 0;
    const listenerLog = this.log.component('connection');
    return new WorkerListeners(
      {
        filters: {
          httpConnectionManager: manager,
          tcpProxy: new TcpProxyFactory({ clusters: this.clusters, accessLogs }),
          extensions: { get: networkFilter },
        },
        tls,
        stats: this.stats,
        timers,
        runtime: this.runtime,
        shared: new SharedNumberTable(settings.sharedNumbers),
        workerIndex: settings.index,
        reusePort: settings.workers > 1,
        maxConnections: settings.maxConnections,
        now,
        random,
        // Unique over all workers: each counts in steps of their number.
        nextConnectionId: () => connections++ * settings.workers + settings.index,
        originalDestinations,
        log: (level, message) => listenerLog[level]({}, message),
      },
      (name, outcome) => {
        // Whoever sees that a listener serves sees its statistics too.
        this.stats.flush();
        this.post({ type: 'listener-state', name, ...outcome });
      },
      settings.drainTimeMs,
    );
  }

  /** Says again and again what is under way, so that the main thread knows when nothing is. */
  private report(): void {
    this.post({ type: 'drained', ...this.listeners.counts() });
    this.reporting ??= setInterval(() => this.report(), DRAIN_REPORT_MS).unref();
  }

  private stop(): void {
    clearInterval(this.reporting);
    clearInterval(this.trimming);
    this.listeners.stop();
    this.clusters.destroy();
    this.lines.flush();
    this.spans.flush();
    this.stats.flush();
    this.post({ type: 'stopped' });
  }
}
