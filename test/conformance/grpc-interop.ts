/**
 * gRPC's interop client and server (Go, `npm run peers -- grpc-interop`) through Tollway, and with `--envoy` through Envoy: every
 * case that passes without a proxy has to pass, in plaintext, with TLS on both sides, with mTLS between two sidecars, and through
 * the HTTP filters that let streams be streams.
 * Words choose cases. Exits with 1 when one fails.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, stderr, stdout } from 'node:process';
import { accessLog, clusterOf, httpManager, httpOptions, loopback, render, typeUrl } from './harness/case.ts';
import { downstreamTls, FILES, tlsContext, upstreamTls, uriSan } from './harness/certificates.ts';
import { goTool } from './harness/go-tools.ts';
import { type RunningProxy, startProxy } from './harness/proxies.ts';

/** Of the Go client, but for those that need credentials of a cloud, or what this server does not do (pick_first, ORCA). */
const CASES: readonly string[] = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'status_code_and_message',
  'special_status_message',
  'custom_metadata',
  'unimplemented_method',
  'unimplemented_service',
  'rpc_soak',
  'channel_soak',
];
/** Fewer that pass without a proxy mean that the client or the server is broken. */
const LEAST = 16;
const WITHIN_MS = 30_000;

const kind = argv.includes('--envoy') ? 'envoy' : 'tollway';
const words = argv.slice(2).filter((one) => !one.startsWith('--'));
const wanted = CASES.filter((name) => words.length === 0 || words.some((word) => name.includes(word)));
const folder = mkdtempSync(join(tmpdir(), 'grpc-interop-'));
for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
const CLIENT_TLS = [
  '-use_tls',
  '-server_host_override',
  'localhost',
  '-use_test_ca',
  '-ca_file',
  join(folder, 'ca.pem'),
];

/** What the client writes when it fails; `undefined` when it passes. */
function runCase(port: number, name: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const target = ['-server_host', '127.0.0.1', '-server_port', `${port}`, '-test_case', name];
    const soak = ['-soak_iterations', '20', '-soak_overall_timeout_seconds', '20'];
    const child = spawn(goTool('client', 'GRPC_INTEROP_CLIENT'), [...target, ...soak, ...args], { timeout: WITHIN_MS });
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : `${signal ?? code}: ${log.trim()}`));
  });
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (is: boolean) => {
      socket.destroy();
      resolve(is);
    };
    socket.on('connect', () => settle(true)).on('error', () => settle(false));
  });

const children: ChildProcess[] = [];
async function startServer(args: readonly string[]): Promise<number> {
  const port = await freePort();
  children.push(
    spawn(goTool('server', 'GRPC_INTEROP_SERVER'), ['-port', `${port}`, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  );
  for (const deadline = performance.now() + WITHIN_MS; performance.now() < deadline; ) {
    if (await accepts(port)) return port;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  throw new Error('the interop server does not listen');
}

const filter = (name: string, type: string, config: object = {}): object => ({
  name: `envoy.filters.http.${name}`,
  typed_config: { '@type': typeUrl(`envoy.extensions.filters.http.${name}.v3.${type}`), ...config },
});
const gzip = (kind: 'compressor' | 'decompressor'): object => ({
  [`${kind}_library`]: {
    name: 'gzip',
    typed_config: { '@type': typeUrl(`envoy.extensions.compression.gzip.${kind}.v3.Gzip`) },
  },
});
const FILTERS = [
  filter('grpc_stats', 'FilterConfig', { stats_for_all_methods: true, enable_upstream_stats: true }),
  filter('grpc_web', 'GrpcWeb'),
  filter('cors', 'Cors'),
  filter('fault', 'HTTPFault', { delay: { fixed_delay: '0.005s', percentage: { numerator: 50 } } }),
  filter('compressor', 'Compressor', { ...gzip('compressor'), response_direction_config: {} }),
  filter('decompressor', 'Decompressor', gzip('decompressor')),
  filter('header_mutation', 'HeaderMutation', {
    mutations: { request_mutations: [{ append: { header: { key: 'x-a', value: 'b' } } }] },
  }),
];

const proxies: RunningProxy[] = [];
/** Port of a proxy that takes what comes to the upstream, each side with its transport socket. */
async function through(
  upstream: number,
  downstreamSocket: object,
  upstreamSocket: object,
  filters: readonly object[] = [],
): Promise<number> {
  const routes = [
    {
      match: { prefix: '/' },
      route: { cluster: 'a', timeout: '0s', max_stream_duration: { grpc_timeout_header_max: '0s' } },
    },
  ];
  const chain = [httpManager('ingress', { routes, filters }, { access_log: [accessLog()] })];
  const cluster = { endpoints: ['a'], ...httpOptions({}, { http2_protocol_options: {} }), ...upstreamSocket };
  const bootstrap = {
    admin: { address: loopback(0) },
    static_resources: {
      listeners: [{ name: 'ingress', address: loopback(0), filter_chains: [{ filters: chain, ...downstreamSocket }] }],
      clusters: [clusterOf('a', cluster)],
    },
  };
  const proxy = await startProxy(kind, render(bootstrap, new Map([['a', upstream]])), ['ingress'], FILES);
  proxies.push(proxy);
  return proxy.ports.get('ingress') ?? 0;
}

const h2 = { alpn_protocols: ['h2'] };
const takesTls = { transport_socket: downstreamTls(tlsContext('server', undefined, h2)) };
const takesMutual = {
  transport_socket: downstreamTls(tlsContext('server', uriSan({ exact: 'spiffe://mesh.test/client' }), h2), {
    require_client_certificate: true,
  }),
};
const opensTls = { transport_socket: upstreamTls(tlsContext(undefined, {}, h2), { sni: 'localhost' }) };
const opensMutual = {
  transport_socket: upstreamTls(tlsContext('client', uriSan({ exact: 'spiffe://mesh.test/server' }), h2)),
};

/** Runs the cases one after the other; the names of those that passed. */
async function runCases(
  title: string,
  names: readonly string[],
  port: number,
  args: readonly string[] = [],
): Promise<string[]> {
  const passed: string[] = [];
  stdout.write(`${title}\n`);
  for (const name of names) {
    const failure = await runCase(port, name, args);
    if (failure === undefined) passed.push(name);
    stdout.write(failure === undefined ? `  ✔ ${name}\n` : `  ✖ ${name}\n${failure.replace(/^/gm, '      ')}\n`);
  }
  return passed;
}

try {
  const plain = await startServer([]);
  const secure = await startServer([
    '-use_tls',
    '-tls_cert_file',
    join(folder, 'server.pem'),
    '-tls_key_file',
    join(folder, 'server.key'),
  ]);
  const usable = await runCases('without a proxy', wanted, plain);
  if (words.length === 0 && usable.length < LEAST) throw new Error(`only ${usable.length} cases pass without a proxy`);
  const ways: readonly (readonly [string, number, readonly string[]])[] = [
    [`plaintext through ${kind}`, await through(plain, {}, {}), []],
    [`TLS to ${kind} and on`, await through(secure, takesTls, opensTls), CLIENT_TLS],
    [`through filters of ${kind}`, await through(plain, {}, {}, FILTERS), []],
    [`mTLS between two of ${kind}`, await through(await through(plain, takesMutual, {}), {}, opensMutual), []],
  ];
  for (const [title, port, args] of ways) {
    if ((await runCases(title, usable, port, args)).length < usable.length) process.exitCode = 1;
  }
} catch (error) {
  stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
} finally {
  for (const proxy of proxies) await proxy.stop();
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
