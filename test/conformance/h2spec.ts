/**
 * Runs h2spec (its path in H2SPEC, or found on PATH) against Tollway, and with `--envoy` against Envoy: a listener that speaks
 * HTTP/2, and an upstream that answers once a request has ended. Exits with 1 when a case fails.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { http, httpOptions, render } from './harness/case.ts';
import { startProxy } from './harness/proxies.ts';
import { reply, Upstream } from './harness/upstream.ts';

const { values, positionals } = parseArgs({ options: { envoy: { type: 'boolean' } }, allowPositionals: true });
const upstream = new Upstream('a', [reply(200, 'hello')], 'http2');
await upstream.start();
const bootstrap = http({
  clusters: { a: { endpoints: ['a'], ...httpOptions({}, { http2_protocol_options: {} }) } },
  routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
  manager: { codec_type: 'HTTP2' },
});
const text = render(bootstrap, new Map([['a', upstream.port]]));
const proxy = await startProxy(values.envoy === true ? 'envoy' : 'tollway', text, ['ingress']);
const port = String(proxy.ports.get('ingress'));
const program = process.env.H2SPEC ?? 'h2spec';
const code = await new Promise<number>((resolve) => {
  const child = spawn(program, ['-h', '127.0.0.1', '-p', port, '-o', '2', ...positionals], { stdio: 'inherit' });
  child.on('error', (error) => {
    process.stderr.write(`${program}: ${error.message}; go install github.com/summerwind/h2spec/cmd/h2spec@latest\n`);
    resolve(2);
  });
  child.on('exit', (status) => resolve(status ?? 1));
});
await proxy.stop();
await upstream.stop();
process.exitCode = code;
