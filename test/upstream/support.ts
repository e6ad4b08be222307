/** A directory and a table in one thread, servers to talk to, and requests with their outcome. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ClusterDirectory } from '../../proxy/cluster/directory.ts';
import { WorkerClusterTable } from '../../proxy/cluster/table.ts';
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import type { ClientStream, ClientStreamHandler } from '../../proxy/http/stream.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import type { TlsProvider } from '../../proxy/tls/contract.ts';
import type {
  ClusterHandle,
  Host,
  LoadBalancerContext,
  PoolHandle,
  Priority,
  UpstreamConnectionInfo,
} from '../../proxy/upstream/contract.ts';

export interface Mesh {
  readonly directory: ClusterDirectory;
  readonly table: WorkerClusterTable;
  readonly stats: MainStats;
  /** `cluster.<name>.<stat>`; 0 when it was never touched. */
  stat(name: string): number;
}

const noTls: TlsProvider = {
  upstream: () => {
    throw new Error('no TLS in this test');
  },
  downstream: () => {
    throw new Error('no TLS in this test');
  },
};

export function mesh(options: { tls?: TlsProvider; now?: () => number; random?: () => number } = {}): Mesh {
  const stats = new MainStats();
  const now = options.now ?? (() => performance.now());
  const table = new WorkerClusterTable({ stats, tls: options.tls ?? noTls, now, random: options.random ?? (() => 0) });
  const directory = new ClusterDirectory({
    workers: 1,
    broadcast: (message) => table.handle(structuredClone(message)),
    stats,
  });
  return { directory, table, stats, stat: (name) => stats.get(name) ?? 0 };
}

export function head(method: string, path = '/', authority = 'payment.test'): RequestHead {
  return { method, path, authority, scheme: 'http', version: 11, protocol: undefined, headers: new HeaderMap() };
}

export const anywhere: LoadBalancerContext = {
  downstream: undefined,
  hash: undefined,
  metadataMatch: undefined,
  avoid: undefined,
  hostSelectionMaxAttempts: 0,
  head: undefined,
};

export interface Outcome {
  /** 0 when no response came. */
  status: number;
  body: string;
  /** Reset or pool failure. */
  reason: string | undefined;
  details: string | undefined;
  bytesSent: boolean;
  host: Host | undefined;
  connection: UpstreamConnectionInfo | undefined;
}

export interface Exchange {
  readonly done: Promise<Outcome>;
  readonly handle: PoolHandle;
  stream: ClientStream | undefined;
}

/** Sends one request without body, or with `body`. */
export function exchange(
  cluster: ClusterHandle,
  request: RequestHead,
  options: { host?: Host; priority?: Priority; body?: string; context?: LoadBalancerContext } = {},
): Exchange {
  const context = options.context ?? anywhere;
  const host = options.host ?? cluster.choose(context, 'default');
  if (host === undefined) throw new Error(cluster.refusal());
  const outcome: Outcome = {
    status: 0,
    body: '',
    reason: undefined,
    details: undefined,
    bytesSent: false,
    host: undefined,
    connection: undefined,
  };
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const finish = (): void => {
    outcome.bytesSent = made.stream?.bytesSent ?? false;
    resolve(outcome);
  };
  const handler: ClientStreamHandler = {
    onInformational() {},
    onHead(response, end) {
      outcome.status = response.status;
      if (end) finish();
    },
    onData(chunk, end) {
      outcome.body += chunk.toString('latin1');
      if (end) finish();
    },
    onTrailers: finish,
    onReset(reason, details) {
      outcome.reason = reason;
      outcome.details = details;
      finish();
    },
    onDrain() {},
  };
  const made: { done: Promise<Outcome>; handle: PoolHandle; stream: ClientStream | undefined } = {
    done: promise,
    handle: { cancel() {} },
    stream: undefined,
  };
  made.handle = cluster.newStream(
    host,
    options.priority ?? 'default',
    11,
    handler,
    {
      onReady(stream, chosen, connection) {
        made.stream = stream;
        outcome.host = chosen;
        outcome.connection = connection;
        const { body } = options;
        if (body !== undefined) request.headers.set('content-length', String(body.length));
        stream.sendHead(request, body === undefined);
        if (body !== undefined) stream.sendData(Buffer.from(body), true);
      },
      onFailure(reason, failed, details) {
        outcome.reason = reason;
        outcome.host = failed;
        outcome.details = details;
        resolve(outcome);
      },
    },
    context,
  );
  return made;
}

export interface TestServer {
  readonly port: number;
  readonly sockets: Set<Socket>;
  /** Connections ever accepted. */
  accepted: number;
  close(): void;
}

/** A TCP server on a free port of 127.0.0.1. */
export async function serve(
  onSocket: (socket: Socket) => void,
  options: { allowHalfOpen?: boolean } = {},
): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const made = { port: 0, sockets, accepted: 0, close: () => {} };
  const server: Server = createServer({ noDelay: true, ...options }, (socket) => {
    made.accepted++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  made.port = (server.address() as AddressInfo).port;
  made.close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return made;
}

/** Answers every request (a head that ends in a blank line) with what `answer` makes of its first line. */
export function answering(answer: (requestLine: string, socket: Socket) => string | undefined) {
  return (socket: Socket): void => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const requestHead = text.slice(0, end);
        const length = Number(/content-length: (\d+)/.exec(requestHead)?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        text = text.slice(end + 4 + length);
        const reply = answer(requestHead.slice(0, requestHead.indexOf('\r\n')), socket);
        if (reply !== undefined) socket.write(reply);
      }
    });
  };
}

export const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Waits until `check` holds, a turn of the event loop at a time. */
export async function until(check: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
