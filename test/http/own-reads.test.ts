import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type OwnReads, ownReads } from '../../proxy/http/own-reads.ts';

interface Accepted {
  readonly client: Socket;
  readonly accepted: Socket;
  readonly server: Server;
}

async function pair(t: TestContext): Promise<Accepted> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  return { client, accepted, server };
}

function take(accepted: Socket, seen: string[]): OwnReads {
  const own = ownReads(accepted, (bytes) => seen.push(bytes.toString()));
  assert.ok(own !== undefined, 'this Node has no handle that can be taken over');
  return own;
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setImmediate(resolve));
}

test('reads and writes go on, both halves end on their own', async (t) => {
  const { client, accepted } = await pair(t);
  const seen: string[] = [];
  const { socket, pending } = take(accepted, seen);
  assert.equal(pending, undefined);
  const ended = once(socket, 'end');
  client.end('to the proxy');
  await ended;
  assert.deepEqual(seen, ['to the proxy']);
  let answer = '';
  client.on('data', (chunk) => {
    answer += chunk;
  });
  socket.end('and back');
  await once(client, 'end');
  assert.equal(answer, 'and back');
});

test('what was looked at before comes first, and the end that came with it is told', async (t) => {
  const { client, accepted } = await pair(t);
  client.end('looked at');
  const first: string[] = [];
  await new Promise<void>((resolve) => {
    accepted.once('readable', () => {
      const bytes: unknown = accepted.read();
      assert.ok(Buffer.isBuffer(bytes));
      accepted.unshift(bytes);
      resolve();
    });
  });
  const { socket, pending } = take(accepted, first);
  const ended = once(socket, 'end');
  socket.resume();
  await ended;
  assert.equal(pending?.toString(), 'looked at');
  assert.deepEqual(first, []);
});

test('a paused socket reads nothing until it is resumed', async (t) => {
  const { client, accepted } = await pair(t);
  const seen: string[] = [];
  const { socket } = take(accepted, seen);
  client.write('one');
  await until(() => seen.length === 1);
  socket.pause();
  const sent = new Promise((resolve) => client.write('two', resolve));
  await sent;
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, ['one']);
  socket.resume();
  await until(() => seen.length === 2);
  assert.deepEqual(seen, ['one', 'two']);
});

test('either socket closes with the other, and the server forgets them', async (t) => {
  const first = await pair(t);
  const { socket } = take(first.accepted, []);
  const closed = once(first.accepted, 'close');
  socket.destroy();
  await closed;
  const second = await pair(t);
  const other = take(second.accepted, []);
  const gone = once(other.socket, 'close');
  second.accepted.destroy();
  await gone;
  await new Promise<void>((resolve) => first.server.close(() => resolve()));
});

test('a socket without a handle is read from as ever', async (t) => {
  const { accepted } = await pair(t);
  accepted.destroy();
  assert.equal(
    ownReads(accepted, () => assert.fail('nothing was sent')),
    undefined,
  );
});

test('all that came after a look is handed over, in however many chunks', async (t) => {
  const { client, accepted } = await pair(t);
  const sent = Buffer.alloc(512 * 1024, 'payment 4711 ');
  client.write(sent);
  await new Promise<void>((resolve) => {
    const look = (): void => {
      accepted.off('readable', look);
      accepted.unshift(accepted.read());
      resolve();
    };
    accepted.on('readable', look);
  });
  // More comes behind what was looked at.
  await until(() => accepted.readableLength > 65_536);
  const seen: Buffer[] = [];
  const own = ownReads(accepted, (bytes) => seen.push(Buffer.from(bytes)));
  assert.ok(own?.pending !== undefined);
  seen.unshift(own.pending);
  await until(() => seen.reduce((sum, { length }) => sum + length, 0) >= sent.length);
  assert.ok(Buffer.concat(seen).equals(sent));
});
