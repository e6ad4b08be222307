/**
 * `node test/record-traffic.ts` writes test/fixtures/traffic anew: what clients and servers of others said to each other, one
 * connection a recording, cut off after 16 KiB each way. Needs curl, wget, python3, nghttp and nginx, and
 * `npm run peers -- grpc-interop`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, get } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcp, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { WebSocket, WebSocketServer } from 'ws';
import { goTool } from './conformance/harness/go-tools.ts';

const LIMIT = 16 * 1024;
const FIXTURES = resolve(import.meta.dirname, 'fixtures/traffic');
const folder = mkdtempSync(join(tmpdir(), 'record-'));

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

/** Runs `talk` with the port of a tap before `target`, and writes what the first connection said. */
async function record(name: string, target: number, talk: (port: number) => Promise<unknown>): Promise<void> {
  const up: Buffer[] = [];
  const down: Buffer[] = [];
  let first = true;
  const tap = createTcp((client) => {
    const keep = first;
    first = false;
    const server = connect(target, '127.0.0.1');
    client.on('data', (chunk: Buffer) => keep && up.push(chunk)).on('error', () => server.destroy());
    server.on('data', (chunk: Buffer) => keep && down.push(chunk)).on('error', () => client.destroy());
    client.pipe(server).pipe(client);
  });
  await talk(await listen(tap));
  tap.close();
  for (const [way, chunks] of [
    ['up', up],
    ['down', down],
  ] as const) {
    writeFileSync(join(FIXTURES, `${name}.${way}.bin`), Buffer.concat(chunks).subarray(0, LIMIT));
  }
}

/** Runs a program to its end, whatever that is. */
const run =
  (program: string, ...args: string[]) =>
  (port: number): Promise<unknown> =>
    once(
      spawn(
        program,
        args.map((arg) => arg.replaceAll('PORT', String(port))),
        { stdio: 'ignore', timeout: 5_000 },
      ),
      'exit',
    );

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createTcp();
  const port = await listen(server);
  server.close();
  return port;
}

/** A program that serves until this one ends. */
async function serve(program: string, ...args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'ignore' });
  process.on('exit', () => child.kill());
  await new Promise((wake) => setTimeout(wake, 500));
}

const nginx = await freePort();
const nginxHttp2 = await freePort();
const http = [`${nginx}`, `${nginxHttp2} http2`].map(
  (port) => `server { listen 127.0.0.1:${port}; location / { root ${folder}; } }`,
);
writeFileSync(join(folder, 'index.html'), '<p>money</p>'.repeat(300));
writeFileSync(
  join(folder, 'nginx.conf'),
  `user root; daemon off; pid ${folder}/pid; error_log /dev/null; events {}
   http { access_log off; gzip on; gzip_min_length 1; ${http.join(' ')} }`,
);
await serve('/usr/sbin/nginx', '-c', join(folder, 'nginx.conf'), '-p', folder);

const plain = await listen(
  createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      response.setHeader('trailer', 'x-sum');
      response.setHeader('set-cookie', ['a=1; Path=/', 'b=2; HttpOnly']);
      response.write('first');
      response.write('second');
      response.addTrailers({ 'x-sum': '11' });
      response.end();
    });
  }),
);
const h2 = createHttp2((request, response) => {
  request.resume();
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.write('{"money":');
    response.end('1}');
  });
});
const nodeHttp2 = await listen(h2);
const grpcPort = await freePort();
await serve(goTool('server', 'GRPC_INTEROP_SERVER'), '-port', `${grpcPort}`);

const body = join(folder, 'body');
writeFileSync(body, 'card and amount;'.repeat(150));
/** What a browser sends along. */
const BROWSER = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.7,de;q=0.3',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'DNT: 1',
  'Upgrade-Insecure-Requests: 1',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: cross-site',
  'Priority: u=0, i',
  'Cookie: session=0123456789abcdef; theme=dark; consent=%7B%22a%22%3A1%7D',
].flatMap((field) => ['-H', field]);

await record('h1-curl', plain, run('curl', '-s', 'http://127.0.0.1:PORT/a?b=c', 'http://127.0.0.1:PORT/%C3%BC'));
await record(
  'h1-curl-post',
  plain,
  run('curl', '-s', '--data-binary', `@${body}`, '-H', 'Expect: 100-continue', 'http://127.0.0.1:PORT/pay'),
);
await record(
  'h1-curl-chunked',
  plain,
  run('curl', '-s', '-T', body, '-H', 'Transfer-Encoding: chunked', 'http://127.0.0.1:PORT/put'),
);
await record(
  'h1-browser',
  nginx,
  run('curl', '-s', ...BROWSER, 'http://127.0.0.1:PORT/index.html', 'http://127.0.0.1:PORT/none'),
);
await record('h1-wget', nginx, run('wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:PORT/index.html'));
await record(
  'h1-python',
  plain,
  run(
    'python3',
    '-c',
    "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:PORT/x', data=b'a=b'*200)).read()",
  ),
);
await record('h1-node', plain, async (port) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (const path of ['/one', '/two']) {
    const [response] = await once(get({ port, path, agent, headers: { 'x-a': '1' } }), 'response');
    await once(response.resume(), 'end');
  }
  agent.destroy();
});
await record('h1-websocket', await socketServer(), async (port) => {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/socket`, ['pay']);
  await once(ws, 'open');
  ws.send('hello');
  await once(ws, 'message');
  ws.close(1000);
  await once(ws, 'close');
});

await record(
  'h2-curl',
  nodeHttp2,
  run('curl', '-s', '--http2-prior-knowledge', ...BROWSER, 'http://127.0.0.1:PORT/a', 'http://127.0.0.1:PORT/b'),
);
await record(
  'h2-curl-post',
  nodeHttp2,
  run('curl', '-s', '--http2-prior-knowledge', '--data-binary', `@${body}`, 'http://127.0.0.1:PORT/pay'),
);
await record('h2-nghttp', nginxHttp2, run('nghttp', '-n', '-m', '3', 'http://127.0.0.1:PORT/index.html'));
await record(
  'h2-nghttp-node',
  nodeHttp2,
  run('nghttp', '-n', '-d', body, '--expect-continue', 'http://127.0.0.1:PORT/p'),
);
await record('h2-node', nodeHttp2, async (port) => {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  await Promise.all(
    ['/1', '/2', '/3'].map(async (path) => {
      const stream = session.request({ ':path': path, ':method': 'POST', 'x-unique': path.repeat(20) });
      stream.end('hello');
      await once(stream.resume(), 'end');
    }),
  );
  session.close();
});
for (const name of [
  'empty_unary',
  'ping_pong',
  'special_status_message',
  'unimplemented_method',
  'cancel_after_first_response',
]) {
  const args = ['-server_host', '127.0.0.1', '-server_port', 'PORT', '-test_case', name];
  await record(`h2-grpc-${name.replaceAll('_', '-')}`, grpcPort, run(goTool('client', 'GRPC_INTEROP_CLIENT'), ...args));
}

async function socketServer(): Promise<number> {
  const server = createServer();
  new WebSocketServer({ server }).on('connection', (ws) => ws.on('message', (text) => ws.send(`${text} back`)));
  return listen(server);
}

rmSync(folder, { recursive: true, force: true });
process.exit(0);
