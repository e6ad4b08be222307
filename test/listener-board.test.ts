import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chainsAloneDiffer, ListenerBoard } from '../proxy/listener-board.ts';
import type { ToWorker } from '../proxy/messages.ts';
import type { Listener } from '../xds-client/model/listener.ts';
import { listener, rawChain } from './listener/support.ts';

function setUp(workers: number) {
  const posted: string[] = [];
  const happened: string[] = [];
  const board = new ListenerBoard(workers, {
    post: (worker: number, message: ToWorker) => {
      const bound = message.type === 'listener' ? (message.bound?.join() ?? '') : '';
      posted.push(`${worker} ${message.type} ${bound}`.trim());
    },
    up: ({ name }: Listener) => happened.push(`${name} up`),
    failed: ({ name }: Listener, message: string) => happened.push(`${name}: ${message}`),
    settled: () => happened.push('settled'),
  });
  const answer = (worker: number, ...addresses: string[]) =>
    board.answered(worker, { type: 'listener-state', name: 'l', state: 'listening', addresses });
  const fail = (worker: number) =>
    board.answered(worker, { type: 'listener-state', name: 'l', state: 'failed', message: 'in use' });
  return { board, posted, happened, answer, fail };
}

const fixed = listener({ address: { kind: 'socket', host: '127.0.0.1', port: 80 } });
const open = listener();

test('a listener is up when every worker has it', () => {
  const { board, posted, happened, answer } = setUp(2);
  board.send(fixed);
  assert.deepEqual(posted, ['0 listener', '1 listener']);
  answer(1, '127.0.0.1:80');
  assert.deepEqual(happened, []);
  assert.equal(board.settled, false);
  answer(0, '127.0.0.1:80');
  assert.deepEqual(happened, ['l up', 'settled']);
  assert.deepEqual(board.list()[0]?.addresses, [{ kind: 'socket', host: '127.0.0.1', port: 80 }]);
});

test('a port that the kernel chooses is chosen once', () => {
  const { board, posted, happened, answer } = setUp(3);
  board.send(open);
  assert.deepEqual(posted, ['0 listener']);
  answer(0, '127.0.0.1:4711');
  assert.deepEqual(posted.slice(1), ['1 listener 127.0.0.1:4711', '2 listener 127.0.0.1:4711']);
  answer(1, '127.0.0.1:4711');
  answer(2, '127.0.0.1:4711');
  assert.deepEqual(happened, ['l up', 'settled']);
});

test('what the first worker cannot have, the others are not asked for', () => {
  const { board, posted, happened, fail } = setUp(2);
  board.send(open);
  fail(0);
  assert.deepEqual(posted, ['0 listener']);
  assert.deepEqual(happened, ['l: in use', 'settled']);
});

test('a second version waits for its own answers', () => {
  const { board, posted, happened, answer } = setUp(2);
  board.send(open);
  board.send(open);
  answer(0, '127.0.0.1:1');
  answer(0, '127.0.0.1:2');
  assert.deepEqual(posted, ['0 listener', '0 listener', '1 listener 127.0.0.1:1', '1 listener 127.0.0.1:2']);
  answer(1, '127.0.0.1:1');
  assert.deepEqual(happened, ['l up']);
  answer(1, '127.0.0.1:2');
  assert.deepEqual(happened, ['l up', 'l up', 'settled']);
});

test('a removal overtakes nobody', () => {
  const { board, posted, answer } = setUp(2);
  board.send(open);
  board.remove('l', 10);
  answer(0, '127.0.0.1:1');
  assert.deepEqual(posted, ['0 listener', '0 listener-removed', '1 listener-removed']);
  assert.ok(board.settled);
});

test('an update is in place when filter chains alone differ', () => {
  const before = listener();
  assert.equal(chainsAloneDiffer(before, listener({ filterChains: [rawChain('b')] })), true);
  assert.equal(chainsAloneDiffer(before, listener({ defaultFilterChain: rawChain('c') })), true);
  assert.equal(chainsAloneDiffer(before, listener()), false);
  assert.equal(chainsAloneDiffer(before, listener({ filterChains: [rawChain('b')], drainType: 'modify-only' })), false);
});
