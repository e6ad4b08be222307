/**
 * Runs h2spec (`npm run peers -- h2spec`, or the one that H2SPEC names) against Tollway, and with `--envoy` against Envoy:
 * listeners that speak HTTP/2 as configured, by the client's preface and by ALPN, and an upstream that answers once a request
 * has ended. Other arguments go to h2spec. Exits with 1 when a case fails, but for what is expected here.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv, stderr, stdout } from 'node:process';
import { accessLog, clusterOf, httpManager, httpOptions, loopback, render } from './harness/case.ts';
import { downstreamTls, FILES, tlsContext } from './harness/certificates.ts';
import { goTool } from './harness/go-tools.ts';
import { startProxy } from './harness/proxies.ts';
import { reply, Upstream } from './harness/upstream.ts';

const kind = argv.includes('--envoy') ? 'envoy' : 'tollway';
const more = argv.slice(2).filter((one) => one !== '--envoy');
interface Run {
  readonly listener: string;
  readonly args: readonly string[];
  /** Names of cases. */
  readonly mayFail: readonly string[];
}

const RUNS: readonly Run[] = [
  { listener: 'configured', args: [], mayFail: [] },
  // What does not begin with HTTP/2's preface is HTTP/1.1 there, and answered so; Envoy does the same.
  { listener: 'preface', args: [], mayFail: ['Sends invalid connection preface'] },
  { listener: 'alpn', args: ['-t', '-k'], mayFail: [] },
];

const routes = [{ match: { prefix: '/' }, route: { cluster: 'a' } }];
const listener = (name: string, codec_type: string, socket: object = {}) => ({
  name,
  address: loopback(0),
  filter_chains: [{ filters: [httpManager(name, { routes }, { codec_type, access_log: [accessLog()] })], ...socket }],
});
const bootstrap = {
  admin: { address: loopback(0) },
  static_resources: {
    listeners: [
      listener('configured', 'HTTP2'),
      listener('preface', 'AUTO'),
      listener('alpn', 'AUTO', {
        transport_socket: downstreamTls(tlsContext('server', undefined, { alpn_protocols: ['h2', 'http/1.1'] })),
      }),
    ],
    clusters: [clusterOf('a', { endpoints: ['a'], ...httpOptions({}, { http2_protocol_options: {} }) })],
  },
};

/** The names of the cases that failed. */
async function h2spec(port: number, args: readonly string[], report: string): Promise<string[]> {
  const program = goTool('h2spec', 'H2SPEC');
  const own = ['-h', '127.0.0.1', '-p', `${port}`, '-o', '3', '-j', report];
  await new Promise((resolve, reject) => {
    const child = spawn(program, [...own, ...args, ...more], { stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', resolve);
  });
  const cases = readFileSync(report, 'utf8').split('<testcase ').slice(1);
  if (cases.length === 0) throw new Error('h2spec ran no case');
  return cases
    .filter((text) => text.includes('<failure>') || text.includes('<error>'))
    .map((text) => /classname="([^"]*)"/.exec(text)?.[1] ?? text);
}

const upstream = new Upstream('a', [reply(200, 'hello')], 'http2');
await upstream.start();
const text = render(bootstrap, new Map([['a', upstream.port]]));
const names = RUNS.map((run) => run.listener);
const proxy = await startProxy(kind, text, names, FILES);
try {
  for (const { listener: name, args, mayFail } of RUNS) {
    stdout.write(`h2spec against ${kind}, HTTP/2 by ${name}\n`);
    const failed = await h2spec(proxy.ports.get(name) ?? 0, args, join(proxy.folder, 'h2spec.xml'));
    const unexpected = failed.filter((one) => !mayFail.includes(one));
    if (unexpected.length === 0) continue;
    stdout.write(`failed: ${unexpected.join('; ')}\n`);
    process.exitCode = 1;
  }
} catch (error) {
  stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
} finally {
  await proxy.stop();
  await upstream.stop();
}
