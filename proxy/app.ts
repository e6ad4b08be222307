/** The one place where the parts are wired together: the control side on the main thread, the workers beside it. */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Worker } from 'node:worker_threads';
import { systemCertificateClock } from '../certs/clock.ts';
import type { ConfigChange } from '../xds-client/changes.ts';
import { systemClock } from '../xds-client/clock.ts';
import { Configuration } from '../xds-client/configuration.ts';
import { resourceDecoder } from '../xds-client/decode-resource.ts';
import type { XdsEvent } from '../xds-client/events.ts';
import type { Bootstrap } from '../xds-client/model/bootstrap.ts';
import type { Listener } from '../xds-client/model/listener.ts';
import { nodeMessage } from '../xds-client/node-message.ts';
import { XdsStatistics } from '../xds-client/statistics.ts';
import { AdminServer } from './admin/server.ts';
import type { ServerState } from './admin/sources.ts';
import { adminSources } from './admin-sources.ts';
import type { LoadedBootstrap } from './bootstrap/load.ts';
import { ClusterDirectory } from './cluster/directory.ts';
import { ClusterResolution } from './cluster/resolution.ts';
import { SystemResolver, systemTimers } from './cluster/system-resolver.ts';
import { ClusterHealth } from './cluster-health.ts';
import type { Options } from './command-line.ts';
import { applyChange } from './config-applier.ts';
import { decodeChecks } from './decode-checks.ts';
import { errorMessage, ProxyError } from './errors.ts';
import { tellInternalFaults } from './http/internal-fault.ts';
import { chainsAloneDiffer, ListenerBoard } from './listener-board.ts';
import type { ComponentLog, Log } from './log.ts';
import type { FromWorker } from './messages.ts';
import { NamedStats } from './named-stats.ts';
import { AccessLogWriter } from './observe/access-log/writer.ts';
import { FILESYSTEM_STATS } from './observe/stats/families.ts';
import { MainStats } from './observe/stats/main-stats.ts';
import { TraceExporter } from './observe/tracing/exporter.ts';
import { CertificateAges } from './secrets/certificate-ages.ts';
import type { IdentityKeeper } from './secrets/identity-keeper.ts';
import type { SecretManager } from './secrets/secret-manager.ts';
import { keepServerStats } from './server-stats.ts';
import { sharedNumbersBuffer } from './shared-numbers.ts';
import { spentMemory } from './spent-memory.ts';
import { SecretTable } from './tls/secret-table.ts';
import { releaseTlsMaterial, wireTlsMaterial } from './tls-material.ts';
import { Unsupported } from './unsupported.ts';
import { addressText } from './upstream/contract.ts';
import { VERSION } from './version.ts';
import { WorkerPool } from './worker-pool.ts';

export interface AppContext {
  readonly options: Options;
  readonly loaded: LoadedBootstrap<Bootstrap>;
  /** The workers' threads; none where the data side runs in this one. */
  readonly threads: readonly Worker[];
  readonly log: Log;
  readonly reopenLogs: () => void;
  /** Ends the process. */
  readonly exit: (code: number) => void;
}

/** Nothing under way for so long: the drain is over. */
const QUIET_MS = 1_000;
const MAX_CONNECTIONS = 50_000;

/** gRPC is loaded where there is a control plane: it costs 40 ms and 14 MB. */
function loadControlPlane(): typeof import('./control-plane-connection.ts') {
  return createRequire(import.meta.url)(
    './control-plane-connection.ts',
  ) as typeof import('./control-plane-connection.ts');
}

function loadIdentity(): typeof import('./identity.ts') {
  return createRequire(import.meta.url)('./identity.ts') as typeof import('./identity.ts');
}

export class App {
  readonly context: AppContext;
  readonly stats = new MainStats();
  readonly unsupported: Unsupported;
  readonly directory: ClusterDirectory;
  readonly secrets: SecretManager;
  readonly board: ListenerBoard;
  readonly configuration: Configuration;
  readonly writer: AccessLogWriter;
  readonly startedAt = Date.now();
  state: ServerState = 'PRE_INITIALIZING';
  private readonly pool: WorkerPool;
  private readonly resolution: ClusterResolution;
  private readonly health: ClusterHealth;
  /** What the main thread's own connections to endpoints need. */
  private readonly tlsMaterial = new SecretTable();
  private readonly ages: CertificateAges;
  /** Where Tollway is its own agent. */
  private readonly identity: IdentityKeeper | undefined;
  private readonly exporter: TraceExporter;
  private readonly named: NamedStats;
  private readonly xdsStatistics: XdsStatistics;
  private readonly spentMemory = spentMemory(() => this.pool.broadcast({ type: 'settled' }));
  private readonly log: ComponentLog;
  /** Sent again to the workers because what should have replaced them failed. */
  private readonly restored = new Set<Listener>();
  private admin: AdminServer | undefined;
  private initialized = false;
  private draining = false;
  private lastBusyAt = 0;
  private drainAsked = false;
  private drainingListeners = 0;
  private readonly streams = new Map<number, number>();

  constructor(context: AppContext) {
    this.context = context;
    const { log, options, loaded } = context;
    const { bootstrap } = loaded;
    this.log = log.component('main');
    const config = log.component('config');
    tellInternalFaults((message) => this.log.error({}, message));
    this.unsupported = new Unsupported(config);
    this.unsupported.replace('bootstrap', loaded.unsupported);
    this.named = new NamedStats(this.stats);
    this.writer = new AccessLogWriter({
      stats: this.stats.block('filesystem.', FILESYSTEM_STATS),
      onError: (sink, message) => log.component('file').error({ sink }, message),
    });
    this.pool = new WorkerPool(
      context.threads,
      {
        workers: Math.max(1, options.concurrency),
        logLevel: options.logLevel,
        componentLogLevels: options.componentLogLevels,
        serviceNode: bootstrap.node.id,
        serviceCluster: bootstrap.node.cluster,
        serviceZone: bootstrap.node.locality?.zone ?? '',
        drainTimeMs: options.drainTimeS * 1000,
        maxConnections: MAX_CONNECTIONS,
        sharedNumbers: sharedNumbersBuffer(),
      },
      {
        message: (worker, message) => this.fromWorker(worker, message),
        failed: (worker, error) => {
          this.log.critical({ worker }, `a worker failed: ${error.stack ?? error.message}`);
          context.exit(1);
        },
      },
    );
    this.directory = new ClusterDirectory({
      workers: this.pool.size,
      broadcast: (message) => this.pool.broadcast(message),
      stats: this.stats,
      checkFlags: (cluster, address) => this.health.flagsOf(cluster, address),
      later: (callback) => setImmediate(callback),
    });
    this.health = new ClusterHealth({
      directory: () => this.directory,
      stats: this.stats,
      secrets: this.tlsMaterial,
      onChecked: (cluster) => this.configuration.healthChecked(cluster),
      log: log.component('hc'),
    });
    this.resolution = new ClusterResolution({
      resolver: new SystemResolver(),
      timers: systemTimers,
      random: Math.random,
      stats: this.stats,
      onAssignment: (cluster, assignment) => this.configuration.dnsResolved(cluster, assignment),
      onFailure: (cluster, error) =>
        log.component('dns').warning({ cluster }, `cluster "${cluster}": ${errorMessage(error)}`),
    });
    this.ages = new CertificateAges({
      clock: systemCertificateClock,
      stats: this.stats,
      log: log.component('secret'),
      isOwn: (chain) => this.identity?.watches(chain) === true,
    });
    this.secrets = wireTlsMaterial({
      ages: this.ages,
      broadcast: (message) => this.pool.broadcast(message),
      own: this.tlsMaterial,
      stats: this.stats,
      log: config,
      configuration: () => this.configuration,
    });
    const { identity: settings } = bootstrap;
    if (settings !== undefined) {
      const secret = log.component('secret');
      this.identity = loadIdentity().identityKeeper({ bootstrap, settings, stats: this.stats, log: secret });
    }
    this.board = new ListenerBoard(this.pool.size, {
      post: (worker, message) => this.pool.post(worker, message),
      // Once a worker, as it was made once a worker.
      up: (listener, replaced) => {
        if (replaced !== undefined) this.releaseTlsMaterial([{ type: 'listener', name: listener.name, listener }]);
        // It served all the time.
        if (this.restored.delete(listener)) return;
        if (replaced !== undefined && chainsAloneDiffer(replaced, listener)) {
          this.named.inc('listener_manager.listener_in_place_updated');
        }
        for (let i = 0; i < this.pool.size; i++) this.named.inc('listener_manager.listener_create_success');
      },
      failed: (listener, message, serving) => {
        this.named.inc('listener_manager.listener_create_failure');
        config.error({ listener: listener.name }, `listener "${listener.name}" cannot serve: ${message}`);
        if (bootstrap.listeners.some(({ name }) => name === listener.name)) {
          this.log.critical({}, `listener "${listener.name}" of the bootstrap cannot serve: ${message}`);
          context.exit(1);
          return;
        }
        const served = serving ? this.board.served(listener.name) : undefined;
        if (served !== undefined) this.restored.add(served);
        this.configuration.listenerFailed(listener.name, message, served);
      },
      settled: () => this.maybeLive(),
    });
    this.exporter = new TraceExporter({
      resolve: (cluster) => this.endpointOf(cluster),
      stats: this.stats,
      serviceName: bootstrap.node.cluster || 'tollway',
      onError: (message) => log.component('tracing').warning({}, message),
    });
    this.configuration = new Configuration({
      ...bootstrap,
      secretsOf: (user) => this.secrets.secretsOf(user),
      node: nodeMessage(bootstrap.node, VERSION),
      decode: resourceDecoder(decodeChecks((name) => this.configuration.store.knowsCluster(name))),
      clock: systemClock,
      random: Math.random,
      supply: this.identity,
      connect: (source) =>
        loadControlPlane().controlPlaneConnection(bootstrap, source, () => this.identity?.ownSecrets() ?? []),
      onChanges: (changes) => this.apply(changes),
      onEvent: (event) => this.happened(event, config),
    });
    this.xdsStatistics = new XdsStatistics(this.named, this.configuration.store);
  }

  async start(): Promise<void> {
    const { bootstrap } = this.context.loaded;
    if (bootstrap.admin !== undefined) await this.listenAdmin(bootstrap.admin.address);
    this.keepStats();
    setInterval(() => this.stats.endInterval(), bootstrap.statsFlushIntervalMs || 5_000).unref();
    this.state = 'INITIALIZING';
    this.pool.broadcast({ type: 'runtime', json: JSON.stringify(bootstrap.runtime) });
    process.once('SIGTERM', () => this.drain());
    process.once('SIGINT', () => void this.stop());
    process.on('SIGUSR1', () => this.reopenLogs());
    this.identity?.start();
    this.configuration.start();
  }

  /** `/healthcheck/fail` and `/healthcheck/ok`. Ends no drain. */
  setHealthFailing(failing: boolean): void {
    this.pool.broadcast({ type: 'health', failing });
    if (!this.draining && (this.state === 'LIVE' || this.state === 'DRAINING'))
      this.state = failing ? 'DRAINING' : 'LIVE';
  }

  reopenLogs(): void {
    this.context.reopenLogs();
    this.writer.reopen();
  }

  setLogLevel(component: string | undefined, level: Parameters<Log['setLevel']>[0]): void {
    if (component === undefined) this.context.log.setLevel(level);
    else this.context.log.setComponentLevel(component, level);
    this.pool.broadcast({ type: 'log-level', component, level });
  }

  /** `/drain_listeners`: at once the sockets are closed and connections stay; gracefully connections end over the drain time first. */
  drainListeners(inboundOnly: boolean, graceful: boolean, skipExit: boolean): void {
    const stopListening = (): void => {
      for (let left = this.board.count(inboundOnly); left > 0; left--)
        this.named.inc('listener_manager.listener_stopped');
      this.pool.broadcast({ type: 'stop-listening', inboundOnly });
    };
    if (!graceful) {
      stopListening();
      return;
    }
    if (this.drainAsked) return;
    this.drainAsked = true;
    const { drainStrategy, drainTimeS } = this.context.options;
    const drainMs = drainTimeS * 1000;
    const scope = inboundOnly ? 'inbound' : 'all';
    this.pool.broadcast({ type: 'drain', scope, strategy: drainStrategy, drainMs });
    if (!skipExit) setTimeout(stopListening, drainMs).unref();
  }

  /**
   * SIGTERM: responses to inbound requests end their connections, listeners stay open for callers who do not know yet,
   * outbound goes on as usual; the process ends when nothing was under way for a second, or when the drain time is up.
   */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    this.state = 'DRAINING';
    const deadline = Date.now() + this.context.options.drainTimeS * 1000;
    this.lastBusyAt = Date.now();
    this.log.info({}, 'draining: waiting for what is under way');
    process.once('SIGTERM', () => void this.stop());
    this.pool.broadcast({ type: 'drain', scope: 'not-outbound', strategy: 'gradual', drainMs: 1 });
    const look = setInterval(() => {
      const left = [...this.streams.values()].reduce((sum, streams) => sum + streams, 0);
      if (Date.now() - this.lastBusyAt < QUIET_MS && Date.now() < deadline) return;
      clearInterval(look);
      if (left > 0) this.log.warning({ requests: left }, 'the drain time is over: requests under way are ended');
      void this.stop();
    }, 50);
  }

  async stop(): Promise<void> {
    this.configuration.stop();
    this.identity?.close();
    this.ages.close();
    this.health.close();
    this.pool.broadcast({ type: 'stop' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await Promise.race([
      Promise.all([this.exporter.close(), this.writer.close()]),
      new Promise((resolve) => setTimeout(resolve, 1_000)),
    ]);
    await this.pool.terminate();
    this.context.exit(0);
  }

  private async listenAdmin(address: NonNullable<Bootstrap['admin']>['address']): Promise<void> {
    this.admin = new AdminServer(adminSources(this), {
      onError: (path, message) => this.context.log.component('admin').error({ path }, message),
    });
    let bound: Awaited<ReturnType<AdminServer['listen']>>;
    try {
      bound = await this.admin.listen(address);
    } catch (error) {
      throw new ProxyError(
        'admin-bind',
        `the admin interface cannot listen on ${addressText(address)}: ${errorMessage(error)}`,
      );
    }
    const { adminAddressPath } = this.context.options;
    if (adminAddressPath !== undefined) writeFileSync(adminAddressPath, addressText(bound));
  }

  private apply(changes: readonly ConfigChange[]): void {
    this.spentMemory.configured();
    this.xdsStatistics.changes(changes);
    for (const change of changes) {
      if (change.type === 'listener') this.exporter.prepare(change.listener);
      applyChange(change, {
        broadcast: (message) => this.pool.broadcast(message),
        directory: this.directory,
        resolution: this.resolution,
        health: this.health,
        secrets: this.secrets,
        board: this.board,
        onListenerRemoved: () => this.drainingListener(),
        onInitialized: () => {
          this.initialized = true;
          this.maybeLive();
        },
        drainMs: this.context.options.drainTimeS * 1000,
      });
    }
    this.releaseTlsMaterial(changes);
  }

  private releaseTlsMaterial(changes: readonly ConfigChange[]): void {
    releaseTlsMaterial(changes, this.secrets, {
      broadcast: (message) => this.pool.broadcast(message),
      own: this.tlsMaterial,
      ages: this.ages,
      configuration: () => this.configuration,
      served: () => this.board.allServed(),
    });
  }

  private keepStats(): void {
    const { loaded, options } = this.context;
    this.stats.beforeScrape(() => this.directory.refreshGauges());
    this.stats.beforeScrape(() => this.secrets.refreshGauges());
    this.stats.beforeScrape(() => this.identity?.refreshGauges());
    keepServerStats(this.stats, {
      concurrency: options.concurrency,
      startedAt: this.startedAt,
      runtimeKeys: Object.keys(loaded.bootstrap.runtime).length,
      unknownFields: loaded.warnings.length,
      state: () => this.state,
      certificates: () =>
        this.secrets
          .certificates()
          .flatMap(({ ca, chains }) => [...(ca === undefined ? [] : [ca]), ...chains].map(({ pem }) => pem)),
      stapleEnds: () =>
        this.secrets
          .certificates()
          .flatMap(({ chains }) =>
            chains.flatMap(({ staple }) => (staple === undefined ? [] : [staple.expiration ?? 0])),
          ),
    });
    this.named.set('listener_manager.workers_started', 1);
  }

  /** A removed listener's connections have the drain time to end. */
  private drainingListener(): void {
    const set = (by: number): void => {
      this.drainingListeners += by;
      this.named.set('listener_manager.total_listeners_draining', this.drainingListeners);
    };
    set(1);
    setTimeout(() => set(-1), this.context.options.drainTimeS * 1000).unref();
  }

  private maybeLive(): void {
    if (!this.initialized || !this.board.settled || this.state !== 'INITIALIZING') return;
    this.state = 'LIVE';
    const ms = Math.round(performance.now());
    this.stats.histogram('server.initialization_time_ms').record(ms);
    this.log.info({ ms }, 'ready');
  }

  private happened(event: XdsEvent, log: ComponentLog): void {
    this.xdsStatistics.event(event);
    if (event.type === 'nack')
      log.warning({ type: event.typeUrl, version: event.version }, `refused: ${event.message}`);
    else if (event.type === 'disconnected') {
      log.warning(
        { source: event.source, retryInMs: event.reason.retryInMs },
        `control plane lost: ${event.reason.details}`,
      );
    } else if (event.type === 'malformed') log.warning({ source: event.source }, event.message);
    else if (event.type === 'unsupported') this.unsupported.replace(`${event.kind} ${event.name}`, event.fields);
  }

  private fromWorker(worker: number, message: FromWorker): void {
    switch (message.type) {
      case 'listener-state':
        this.board.answered(worker, message);
        return;
      case 'stats':
        this.stats.accept(worker, message.json, message.buffers);
        return;
      case 'access-log':
        this.writer.write(message.sink, message.lines);
        return;
      case 'spans':
        this.exporter.accept(message.spans);
        return;
      case 'log':
        this.context.log.write({ ...message, time: Date.now() });
        return;
      case 'immediate-failure':
        this.health.fail(message.cluster, message.address);
        return;
      case 'stopped':
        this.stats.workerEnded(worker);
        return;
      case 'drained':
        this.streams.set(worker, message.streams);
        if (message.streams > 0) this.lastBusyAt = Date.now();
        return;
      default:
        return;
    }
  }

  private endpointOf(cluster: string): { readonly host: string; readonly port: number } | undefined {
    for (const { endpoints } of this.directory.view(cluster)?.assignment?.localities ?? []) {
      for (const { address } of endpoints) if (address.kind === 'socket') return address;
    }
    return undefined;
  }
}
