/** A connection manager on a real socket, with real clusters behind it and upstreams that a test scripts. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after } from 'node:test';
import type { HttpFilterFactory } from '../../proxy/filters/http/contract.ts';
import { ROUTER_TYPE_URL } from '../../proxy/filters/http/router/router.ts';
import type { NetworkConnection } from '../../proxy/filters/network/contract.ts';
import { HttpConnectionManagerFactory } from '../../proxy/filters/network/http-connection-manager/manager.ts';
import type { ConnectionInfo, TlsInfo } from '../../proxy/http/connection-info.ts';
import type { StreamInfo } from '../../proxy/http/stream-info.ts';
import { flagText } from '../../proxy/observe/access-log/flags.ts';
import { compileRoutes, type RouteTable } from '../../proxy/route/table.ts';
import { RuntimeValues } from '../../proxy/runtime.ts';
import { createTimers, type TimerWheel } from '../../proxy/timers.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import type { HttpConnectionManager } from '../../xds-client/model/http-connection-manager.ts';
import type { Listener } from '../../xds-client/model/listener.ts';
import type { RetryPolicy, Route, RouteAction, RouteConfiguration } from '../../xds-client/model/route.ts';
import { cluster, locality } from '../cluster/support.ts';
import { workerParts } from '../network-filters/support.ts';
import { action, configuration, match, route, virtualHost } from '../route/build.ts';
import { type Mesh, mesh, until } from '../upstream/support.ts';

export function managerConfig(changes: Partial<HttpConnectionManager> = {}): HttpConnectionManager {
  return {
    statPrefix: 'in',
    codec: 'auto',
    routes: { kind: 'rds', name: 'r', source: { kind: 'ads' } },
    httpFilters: [
      { name: 'router', disabled: false, extension: { name: 'router', typeUrl: ROUTER_TYPE_URL, config: {} } },
    ],
    common: {
      idleTimeoutMs: 3_600_000,
      maxConnectionDurationMs: undefined,
      maxHeadersCount: 100,
      maxStreamDurationMs: undefined,
      headersWithUnderscores: 'allow',
      maxRequestsPerConnection: undefined,
    },
    http1: {
      acceptHttp10: false,
      defaultHostForHttp10: undefined,
      allowAbsoluteUrl: true,
      headerCase: 'lower',
      enableTrailers: false,
      allowChunkedLength: false,
      overrideStreamErrorOnInvalidHttpMessage: undefined,
    },
    http2: {
      maxConcurrentStreams: undefined,
      initialStreamWindowSize: undefined,
      initialConnectionWindowSize: undefined,
      hpackTableSize: undefined,
      allowConnect: false,
      maxOutboundFrames: undefined,
      maxOutboundControlFrames: undefined,
      maxConsecutiveInboundFramesWithEmptyPayload: undefined,
      maxInboundPriorityFramesPerStream: undefined,
      maxInboundWindowUpdateFramesPerDataFrameSent: undefined,
      overrideStreamErrorOnInvalidHttpMessage: undefined,
      keepalive: undefined,
    },
    tracing: undefined,
    accessLogs: [],
    accessLogFlushIntervalMs: undefined,
    accessLogOnNewRequest: false,
    useRemoteAddress: false,
    xffNumTrustedHops: 0,
    skipXffAppend: false,
    internalAddressRanges: [],
    serverName: undefined,
    serverHeader: 'overwrite',
    via: undefined,
    generateRequestId: true,
    preserveExternalRequestId: false,
    alwaysSetRequestIdInResponse: false,
    forwardClientCert: 'sanitize',
    setClientCertDetails: { subject: false, cert: false, chain: false, dns: false, uri: false },
    proxy100Continue: false,
    maxRequestHeadersKb: 60,
    streamIdleTimeoutMs: 300_000,
    requestTimeoutMs: 0,
    requestHeadersTimeoutMs: 0,
    drainTimeoutMs: 5000,
    delayedCloseTimeoutMs: 1000,
    normalizePath: false,
    mergeSlashes: false,
    escapedSlashes: 'keep',
    stripPort: 'no',
    stripTrailingHostDot: false,
    upgrades: [],
    localReply: undefined,
    streamErrorOnInvalidHttpMessage: false,
    appendXForwardedPort: false,
    schemeOverwrite: undefined,
    ...changes,
  };
}

export function retryPolicy(on: readonly string[], changes: Partial<RetryPolicy> = {}): RetryPolicy {
  return {
    on,
    numRetries: 1,
    perTryTimeoutMs: undefined,
    perTryIdleTimeoutMs: undefined,
    retriableStatusCodes: [],
    retriableHeaders: [],
    retriableRequestHeaders: [],
    backoff: { baseMs: 1, maxMs: 10 },
    rateLimitedBackoff: undefined,
    avoidPreviousHosts: false,
    previousPriorities: false,
    hostSelectionMaxAttempts: 1,
    ...changes,
  };
}

/** A route of everything below `/` to `cluster`. */
export function toCluster(name: string, changes: Partial<RouteAction> = {}, parts: Partial<Route> = {}): Route {
  return route('all', match('/'), { action: action({ cluster: { kind: 'name', name }, ...changes }), ...parts });
}

export function hostOf(...routes: readonly Route[]): RouteConfiguration {
  return configuration([virtualHost('v', ['*'], routes)]);
}

function listener(): Listener {
  return {
    name: 'l',
    address: { kind: 'socket', host: '127.0.0.1', port: 0 },
    additionalAddresses: [],
    bindToPort: true,
    useOriginalDst: false,
    transparent: false,
    freebind: false,
    statPrefix: undefined,
    filterChains: [],
    defaultFilterChain: undefined,
    listenerFilters: [],
    listenerFiltersTimeoutMs: 15_000,
    continueOnListenerFiltersTimeout: false,
    perConnectionBufferLimitBytes: 1 << 20,
    drainType: 'default',
    tcpBacklogSize: undefined,
    trafficDirection: 'unspecified',
    accessLogs: [],
    enableReusePort: true,
  };
}

export interface TestProxy {
  readonly port: number;
  readonly mesh: Mesh;
  readonly timers: TimerWheel;
  /** Finished requests, in order. */
  readonly log: StreamInfo[];
  readonly connections: NetworkConnection[];
  /** What the drain decision answers. */
  draining: boolean;
  stat(name: string): number;
  setRoutes(config: RouteConfiguration | undefined): void;
  setCluster(name: string, ports: readonly number[], changes?: Partial<Cluster>): void;
  close(): void;
}

export interface ProxyOptions {
  readonly manager?: Partial<HttpConnectionManager>;
  readonly routes?: RouteConfiguration;
  readonly filters?: readonly HttpFilterFactory[];
  readonly tls?: TlsInfo;
  readonly random?: () => number;
}

export async function startProxy(options: ProxyOptions = {}): Promise<TestProxy> {
  const setup = mesh();
  const timers = createTimers();
  const tables = new Map<string, RouteTable>();
  const log: StreamInfo[] = [];
  const factory = new HttpConnectionManagerFactory({
    clusters: setup.table,
    routeTables: tables,
    accessLogs: { create: () => [{ log: (info) => log.push(info) }] },
    tracers: undefined,
    httpFilters: new Map((options.filters ?? []).map((filter) => [filter.typeUrl, filter])),
    timers,
    runtime: new RuntimeValues(),
    server: { healthFailing: false, cluster: '' },
    nodeAddress: '192.0.2.9',
    wallClock: () => Date.now(),
    requestId: () => '00000000-0000-4000-8000-000000000001',
  });
  const config = managerConfig(options.manager);
  const where = listener();
  const connections: NetworkConnection[] = [];
  const state = { draining: false };
  const instance = factory.build(config, {
    listener: where,
    statPrefix: 'listener.127.0.0.1_0.',
    stats: setup.stats,
    drain: { shouldDrain: () => state.draining },
    ...workerParts(),
    now: () => performance.now(),
    random: options.random ?? (() => 0.5),
  });
  const chain = {
    name: '',
    match: {
      destinationPort: undefined,
      prefixRanges: [],
      serverNames: [],
      transportProtocol: undefined,
      applicationProtocols: [],
      directSourcePrefixRanges: [],
      sourceType: 'any' as const,
      sourcePrefixRanges: [],
      sourcePorts: [],
    },
    filters: [],
    transportSocket: { kind: 'raw' as const },
    transportSocketConnectTimeoutMs: undefined,
  };
  const sockets = new Set<Socket>();
  let id = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    const info: ConnectionInfo = {
      id: ++id,
      listener: where,
      chain,
      directRemoteAddress: socket.remoteAddress ?? '',
      directRemotePort: socket.remotePort ?? 0,
      remoteAddress: socket.remoteAddress ?? '',
      remotePort: socket.remotePort ?? 0,
      localAddress: socket.localAddress ?? '',
      localPort: socket.localPort ?? 0,
      localAddressRestored: false,
      requestedServerName: undefined,
      tls: options.tls,
      startedAt: performance.now(),
    };
    connections.push(instance.accept(socket, info));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TestProxy = {
    port: (server.address() as AddressInfo).port,
    mesh: setup,
    timers,
    log,
    connections,
    get draining() {
      return state.draining;
    },
    set draining(value: boolean) {
      state.draining = value;
    },
    stat: setup.stat,
    setRoutes(routes) {
      if (routes === undefined) tables.delete('r');
      else tables.set('r', compileRoutes(routes));
    },
    setCluster(name, ports, changes = {}) {
      const endpoints = ports.map(
        (port): Endpoint => ({
          address: { kind: 'socket', host: '127.0.0.1', port },
          hostname: 'settlement.test',
          health: 'unknown',
          weight: 1,
          metadata: {},
        }),
      );
      setup.directory.setCluster(
        cluster(name, { discovery: { kind: 'static', localities: [locality(endpoints)] }, ...changes }),
      );
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      setup.table.destroy();
    },
  };
  if (options.routes !== undefined) proxy.setRoutes(options.routes);
  return proxy;
}

/** What a test file has opened; closed when its tests are over. */
export const opened: { close(): void }[] = [];
after(() => {
  for (const thing of opened) thing.close();
});

/** A proxy whose cluster `c` is one upstream, which gets everything unless the options have routes of their own. */
export async function start(
  options: ProxyOptions = {},
  answer: ConstructorParameters<typeof Upstream>[0] = () => response(200),
): Promise<{ proxy: TestProxy; upstream: Upstream }> {
  const upstream = await new Upstream(answer).listen();
  const proxy = await startProxy({ routes: hostOf(toCluster('c')), ...options });
  opened.push(upstream, proxy);
  proxy.setCluster('c', [upstream.port]);
  return { proxy, upstream };
}

/** Flags and details of each finished request. */
export const ends = (proxy: TestProxy) => proxy.log.map((info) => [flagText(info.flags), info.responseCodeDetails]);

export interface Reply {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
  /** All that came. */
  readonly raw: string;
  /** The connection was ended by the proxy. */
  readonly closed: boolean;
}

/** Sends raw text on a connection of its own and waits for one whole response, or for the connection's end. */
export async function send(port: number, text: string): Promise<Reply> {
  const client = new Client(port);
  client.write(text);
  const reply = await client.reply();
  client.close();
  return reply;
}

export function get(path: string, fields = ''): string {
  return `GET ${path} HTTP/1.1\r\nhost: payment.test\r\n${fields}\r\n`;
}

export function post(path: string, body: string, fields = ''): string {
  return `POST ${path} HTTP/1.1\r\nhost: payment.test\r\ncontent-length: ${body.length}\r\n${fields}\r\n${body}`;
}

/** A downstream connection that reads responses one by one. */
export class Client {
  text = '';
  ended = false;
  readonly socket: Socket;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString('latin1');
    });
    this.socket.on('error', () => {
      this.ended = true;
    });
    this.socket.on('close', () => {
      this.ended = true;
    });
    this.socket.on('end', () => {
      this.ended = true;
    });
  }

  write(text: string): void {
    this.socket.write(text, 'latin1');
  }

  close(): void {
    this.socket.destroy();
  }

  async reply(headRequest = false): Promise<Reply> {
    await until(() => this.ended || complete(this.text, headRequest) >= 0, `a response came, after "${this.text}"`);
    const end = complete(this.text, headRequest);
    const raw = end >= 0 ? this.text.slice(0, end) : this.text;
    this.text = end >= 0 ? this.text.slice(end) : '';
    return { ...parse(raw), raw, closed: this.ended };
  }
}

function complete(text: string, headRequest: boolean): number {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return -1;
  const head = text.slice(0, end).toLowerCase();
  if (/^http\/1.1 1\d\d/.test(head)) return end + 4;
  const body = end + 4;
  if (headRequest) return body;
  const length = /\ncontent-length: (\d+)/.exec(head)?.[1];
  if (length !== undefined) return text.length >= body + Number(length) ? body + Number(length) : -1;
  if (head.includes('transfer-encoding: chunked')) {
    const last = text.indexOf('0\r\n\r\n', body);
    return last < 0 ? -1 : last + 5;
  }
  return -1;
}

function parse(raw: string): { status: number; headers: { [name: string]: string }; body: string } {
  const end = raw.indexOf('\r\n\r\n');
  const lines = raw.slice(0, Math.max(0, end)).split('\r\n');
  const headers: { [name: string]: string } = {};
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`;
  }
  return { status: Number(lines[0]?.split(' ')[1] ?? 0), headers, body: raw.slice(end + 4) };
}

/** An upstream that keeps what it was sent and answers with what the test says, request by request. */
export class Upstream {
  /** Whole requests, heads and bodies. */
  readonly requests: string[] = [];
  readonly sockets = new Set<Socket>();
  port = 0;
  private readonly server: Server;

  constructor(answer: (request: string, socket: Socket, count: number) => string | undefined) {
    this.server = createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        for (let end = requestEnd(text); end >= 0; end = requestEnd(text)) {
          const request = text.slice(0, end);
          text = text.slice(end);
          this.requests.push(request);
          const reply = answer(request, socket, this.requests.length);
          if (reply !== undefined) socket.write(reply, 'latin1');
        }
      });
    });
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

function requestEnd(text: string): number {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return -1;
  const head = text.slice(0, end).toLowerCase();
  const length = Number(/\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
  if (head.includes('transfer-encoding: chunked')) {
    const last = text.indexOf('0\r\n\r\n', end);
    return last < 0 ? -1 : last + 5;
  }
  return text.length >= end + 4 + length ? end + 4 + length : -1;
}

/** A whole response. */
export function response(status: number, body = 'ok', fields = ''): string {
  return `HTTP/1.1 ${status} Whatever\r\ncontent-length: ${body.length}\r\n${fields}\r\n${body}`;
}

/** A port that nobody listens on. */
export async function deadPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
