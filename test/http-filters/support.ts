/** Filters in a chain with nothing around them: what reaches the router's end and the downstream's is written down. */
import { type ChainFilter, type ChainOwner, ChainRun, filtersFor } from '../../proxy/filters/http/chain.ts';
import type { FilterContext, HttpFilterFactory } from '../../proxy/filters/http/contract.ts';
import type { MatchedRoute, RequestSink } from '../../proxy/filters/http/stream-ends.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../proxy/http/headers.ts';
import { StreamInfo } from '../../proxy/http/stream-info.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import { RuntimeValues } from '../../proxy/runtime.ts';
import { TimerWheel } from '../../proxy/timers.ts';
import type { ClusterTable } from '../../proxy/upstream/contract.ts';
import type { ExtensionConfig, Json } from '../../xds-client/model/common.ts';
import { connection, head as requestHead } from '../observe/stream-info.ts';

export interface FilterSetup {
  readonly factory: HttpFilterFactory;
  readonly config?: Json;
  readonly disabled?: boolean;
  /** What the routes say, the most specific first. */
  readonly perRoute?: readonly Json[];
  /** Of those, where it is not the filter's own. */
  readonly routeType?: string;
  /** What they say in place of a configuration. */
  readonly switched?: boolean;
}

export interface RunOptions {
  readonly head?: RequestHead;
  readonly limitBytes?: number;
  readonly random?: () => number;
  readonly clusters?: ClusterTable;
  readonly runtime?: { readonly [key: string]: Json };
  readonly route?: MatchedRoute;
}

/** One part of a message as it left the chain: `head GET /`, `data abc end`, `trailers grpc-status=0`, `local 503 text details`, `reset reason`. */
export type Part = string;

/** A message's parts in short. Bodies are shown as Latin-1. */
function dataPart(chunk: Buffer, end: boolean): Part {
  return `data ${chunk.toString('latin1')}${end ? ' end' : ''}`;
}

function trailersPart(trailers: HeaderMap): Part {
  return `trailers ${trailers.names.map((name, i) => `${name}=${trailers.values[i]}`).join(' ')}`;
}

/** What the requests of one test share: the filters, built once, what they count, and the clock. */
interface Worker {
  readonly stats: MainStats;
  readonly timers: TimerWheel;
  readonly clock: { now: number };
  readonly server: { healthFailing: boolean; readonly cluster: string };
  readonly filters: readonly ChainFilter[];
}

function build(setups: readonly FilterSetup[], options: RunOptions): Worker {
  const clock = { now: 0 };
  const stats = new MainStats();
  const timers = new TimerWheel({ now: () => clock.now, wakeAt: () => undefined });
  const server = { healthFailing: false, cluster: 'test' };
  const runtime = new RuntimeValues();
  runtime.set(options.runtime ?? {});
  const context: FilterContext = {
    statPrefix: 'http.test.',
    stats,
    counter: (name) => stats.counter(name),
    clusters: options.clusters ?? { get: () => undefined },
    timers,
    runtime,
    server,
    now: () => clock.now,
    random: options.random ?? (() => 0),
  };
  const filters = setups.map(
    ({ factory, config, disabled }): ChainFilter => ({
      name: factory.name,
      instance: factory.build(config ?? {}, context),
      disabled: disabled ?? false,
      routeTypeUrl: factory.routeTypeUrl,
    }),
  );
  return { stats, timers, clock, server, filters };
}

/** One request's run through filters, with a clock that only the test moves. */
export class FilterRun {
  readonly info: StreamInfo;
  readonly chain: ChainRun;
  private readonly worker: Worker;
  private readonly setups: readonly FilterSetup[];
  private readonly options: RunOptions;
  /** What the router was given. */
  readonly toUpstream: Part[] = [];
  /** What the downstream was given. */
  readonly toDownstream: Part[] = [];
  requestHead: RequestHead | undefined = undefined;
  responseHead: ResponseHead | undefined = undefined;
  /** Bodies as bytes, whole. */
  requestBody = Buffer.alloc(0);
  responseBody = Buffer.alloc(0);
  /** Pauses of the downstream's reading. */
  requestPauses = 0;
  /** The downstream takes more. */
  writable = true;
  /** How often the router was told to go on. */
  drains = 0;
  error: unknown = undefined;
  /** What was more than may wait. */
  readonly tooLarge: ('request' | 'response')[] = [];
  destroyed = false;
  routeCacheCleared = 0;

  constructor(setups: readonly FilterSetup[], options: RunOptions = {}, worker: Worker = build(setups, options)) {
    this.setups = setups;
    this.options = options;
    this.worker = worker;
    this.info = new StreamInfo(connection(), options.head ?? requestHead(), 0, 0);
    const owner = this.owner(setups, options.route);
    this.chain = new ChainRun(owner, filtersFor(owner, worker.filters), options.limitBytes ?? 1024, () =>
      this.router(),
    );
  }

  /** Another request to the same filters; by default like the first. */
  again(head?: RequestHead): FilterRun {
    const first = this.options.head ?? requestHead();
    const next = head ?? { ...first, headers: first.headers.clone() };
    return new FilterRun(this.setups, { ...this.options, head: next }, this.worker);
  }

  get stats(): MainStats {
    return this.worker.stats;
  }

  get timers(): TimerWheel {
    return this.worker.timers;
  }

  /** The server is to fail its health checks, or no longer. */
  failHealth(failing: boolean): void {
    this.worker.server.healthFailing = failing;
  }

  get now(): number {
    return this.worker.clock.now;
  }

  stat(name: string): number {
    return this.stats.get(name) ?? 0;
  }

  /** Sends the request: head, pieces of body, trailers. */
  request(head: RequestHead = this.info.request, ...pieces: readonly (string | Buffer | HeaderMap)[]): void {
    this.chain.onRequestHead(head, pieces.length === 0);
    pieces.forEach((piece, index) => {
      const last = index === pieces.length - 1;
      if (typeof piece === 'string' || Buffer.isBuffer(piece)) this.chain.onRequestData(Buffer.from(piece), last);
      else this.chain.onRequestTrailers(piece);
    });
  }

  /** The router answers. */
  respond(head: ResponseHead, ...pieces: readonly (string | Buffer | HeaderMap)[]): void {
    this.info.response = head;
    this.chain.sendHead(head, pieces.length === 0);
    pieces.forEach((piece, index) => {
      const last = index === pieces.length - 1;
      if (typeof piece === 'string' || Buffer.isBuffer(piece)) this.chain.sendData(Buffer.from(piece), last);
      else this.chain.sendTrailers(piece);
    });
  }

  /** Moves the clock. */
  advance(ms: number): void {
    this.worker.clock.now += ms;
    this.timers.advance();
  }

  end(): void {
    this.chain.onDestroy();
  }

  private router(): RequestSink {
    return {
      onRequestHead: (head, end) => {
        this.requestHead = head;
        this.toUpstream.push(`head ${head.method} ${head.path}${end ? ' end' : ''}`);
      },
      onRequestData: (chunk, end) => {
        this.requestBody = Buffer.concat([this.requestBody, chunk]);
        this.toUpstream.push(dataPart(chunk, end));
      },
      onRequestTrailers: (trailers) => this.toUpstream.push(trailersPart(trailers)),
      onDownstreamDrain: () => {
        this.drains++;
      },
      onDestroy: () => {
        this.destroyed = true;
      },
    };
  }

  private owner(setups: readonly FilterSetup[], route: MatchedRoute | undefined): ChainOwner {
    return {
      info: this.info,
      matchedRoute: () => route,
      virtualCluster: () => undefined,
      perRouteConfigs: (name) => configsOf(setups, name),
      clearRouteCache: () => {
        this.routeCacheCleared++;
      },
      failed: (error) => {
        this.error = error;
      },
      answering: (head, details) => {
        this.info.response = head;
        this.info.responseCodeDetails = details;
      },
      tooLarge: (request) => this.tooLarge.push(request ? 'request' : 'response'),
      sendInformational: (head) => this.toDownstream.push(`informational ${head.status}`),
      sendHead: (head, end) => {
        this.responseHead = head;
        this.toDownstream.push(`head ${head.status}${end ? ' end' : ''}`);
        return this.writable;
      },
      sendData: (chunk, end) => {
        this.responseBody = Buffer.concat([this.responseBody, chunk]);
        this.toDownstream.push(dataPart(chunk, end));
        return this.writable;
      },
      sendTrailers: (trailers) => this.toDownstream.push(trailersPart(trailers)),
      sendLocalReply: (status, body, details, changes, grpcStatus) => {
        const grpc = grpcStatus === undefined ? '' : ` grpc ${grpcStatus}`;
        this.toDownstream.push(`local ${status} ${body} ${details}${grpc}`);
        const { headers } = requestHead();
        changes?.(headers);
        this.chain.sendReply({ status, headers }, Buffer.from(body));
      },
      restart: ({ status }) => this.toDownstream.push(`restart after ${status}`),
      resetStream: (reason) => this.toDownstream.push(`reset ${reason}`),
      pauseRequest: () => {
        this.requestPauses++;
      },
      resumeRequest: () => {
        this.requestPauses--;
      },
    };
  }
}

function configsOf(setups: readonly FilterSetup[], name: string): ExtensionConfig[] {
  const setup = setups.find(({ factory }) => factory.name === name);
  if (setup === undefined) return [];
  const { typeUrl: own, routeTypeUrl } = setup.factory;
  const typeUrl = setup.routeType ?? routeTypeUrl ?? own;
  const said = (setup.perRoute ?? []).map((config) => ({ name, typeUrl, config }));
  if (setup.switched === undefined) return said;
  return [{ name, typeUrl: 'envoy.config.route.v3.FilterConfig', config: { disabled: !setup.switched } }, ...said];
}
