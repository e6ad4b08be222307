/**
 * WebSocket over HTTP/2 (RFC 8441) for a library that knows only HTTP/1.1: each bridge makes the handshake of its side itself
 * and passes bytes, ends and resets on. Neither knows the other side's keys.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer as createHttp2Server,
  type Http2Stream,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { resetSocket } from '../../proxy/filters/network/tcp-proxy/relay.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const acceptOf = (key: string) => createHash('sha1').update(`${key}${GUID}`).digest('base64');
/** What goes through a bridge besides the keys. */
const PASSED = ['sec-websocket-protocol', 'sec-websocket-extensions', 'sec-websocket-version', 'x-refused'];

interface Head {
  readonly start: string;
  readonly fields: IncomingHttpHeaders;
}

/** The head that begins what comes; what follows it stays in the socket. */
async function readHead(socket: Socket): Promise<Head> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const chunk: unknown = socket.read();
    if (chunk instanceof Buffer) {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) continue;
      socket.unshift(bytes.subarray(end + 4));
      const [start = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
      const pairs = lines
        .map((line) => line.split(/:\s*/, 2))
        .map(([name = '', value = '']) => [name.toLowerCase(), value]);
      return { start, fields: Object.fromEntries(pairs) };
    }
    if (socket.destroyed || socket.readableEnded) throw new Error('the connection ended before a head came');
    await once(socket, 'readable');
  }
}

const passed = (fields: IncomingHttpHeaders): { [name: string]: string } =>
  Object.fromEntries(PASSED.flatMap((name) => (fields[name] === undefined ? [] : [[name, String(fields[name])]])));
const lines = (fields: { readonly [name: string]: string }): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');

function join(socket: Socket, stream: Http2Stream): void {
  socket.pipe(stream);
  stream.pipe(socket);
  socket.on('error', () => undefined);
  stream.on('error', () => undefined);
  // An end alone closes neither: both halves have to.
  socket.on('close', () => stream.close(socket.errored ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_NO_ERROR));
  stream.on('close', () => {
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) resetSocket(socket);
    // What still comes has nowhere to go, and nobody is to wait for it.
    else socket.unpipe(stream).resume().end();
  });
}

async function listening(t: TestContext, onSocket: (socket: Socket) => Promise<void>): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket).catch((error: Error) => socket.destroy(error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Takes WebSockets over HTTP/1.1 and opens each over HTTP/2 at the port, one connection for all. */
export async function toHttp2(t: TestContext, port: number): Promise<number> {
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  await once(session, 'remoteSettings');
  t.after(() => session.destroy());
  return listening(t, async (socket) => {
    const { start, fields } = await readHead(socket);
    const stream = session.request(
      { ':method': 'CONNECT', ':protocol': 'websocket', ':path': start.split(' ')[1] ?? '/', ...passed(fields) },
      { endStream: false },
    );
    stream.on('error', () => resetSocket(socket));
    const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }];
    if (head[':status'] !== 200) {
      socket.end(`HTTP/1.1 ${head[':status']} x\r\ncontent-length: 0\r\n${lines(passed(head))}\r\n`);
      stream.close();
      return;
    }
    const accept = acceptOf(String(fields['sec-websocket-key']));
    socket.write(
      `HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n${lines(passed(head))}\r\n`,
    );
    join(socket, stream);
  });
}

/** Takes WebSockets over HTTP/2 and opens each over HTTP/1.1 at the port. */
export async function fromHttp2(t: TestContext, port: number): Promise<number> {
  const server = createHttp2Server({ settings: { enableConnectProtocol: true } });
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.on('sessionError', () => undefined);
  server.on('stream', (stream: ServerHttp2Stream, head) => {
    stream.on('error', () => undefined);
    const socket = dial({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    sockets.add(socket);
    socket.on('error', () => undefined);
    const key = randomBytes(16).toString('base64');
    const own = `host: bridge\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ${key}\r\n`;
    socket.write(`GET ${head[':path']} HTTP/1.1\r\n${own}${lines(passed(head))}\r\n`);
    readHead(socket)
      .then(({ start, fields }) => {
        const status = Number(start.split(' ')[1]);
        stream.respond({ ':status': status === 101 ? 200 : status, ...passed(fields) }, { endStream: status !== 101 });
        if (status === 101) join(socket, stream);
        else socket.destroy();
      })
      .catch(() => stream.close(constants.NGHTTP2_CONNECT_ERROR));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
