import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { readSlabs } from '../../proxy/http/bytes.ts';
import { flushOutputs, Output } from '../../proxy/http/output.ts';
import { type Slab, SlabPool } from '../../proxy/http/slab.ts';
import type { Transport } from '../../proxy/http/stream.ts';

/** Takes what it is given at once, or keeps the very bytes until `finish`, as sockets do. */
class FakeTransport implements Transport {
  writes = 0;
  keeps = false;
  destroyed = false;
  taken = '';
  private waiting: Uint8Array[] = [];

  write(data: Uint8Array): boolean {
    this.writes++;
    if (this.keeps || this.waiting.length > 0) this.waiting.push(data);
    else this.taken += Buffer.from(data).toString('latin1');
    return this.writableLength < 1000;
  }

  /** What was kept goes out, as it is now. */
  finish(): void {
    for (const data of this.waiting) this.taken += Buffer.from(data).toString('latin1');
    this.waiting = [];
  }

  get writableLength(): number {
    return this.waiting.reduce((sum, { length }) => sum + length, 0);
  }

  end(): void {}
  destroy(): void {}
  pause(): void {}
  resume(): void {}
}

test('what a turn makes for a connection is one write, whatever came between', () => {
  const [one, two] = [new FakeTransport(), new FakeTransport()];
  const [first, second] = [new Output(one), new Output(two)];
  first.text('a');
  first.text('b');
  second.text('c');
  flushOutputs();
  assert.deepEqual([one.taken, one.writes, two.taken, two.writes], ['ab', 1, 'c', 1]);
});

interface Step {
  readonly connection: number;
  readonly act: 'text' | 'bytes' | 'many' | 'read' | 'keep' | 'take' | 'turn' | 'flush';
  readonly length: number;
}

const steps = fc.array(
  fc.record<Step>({
    connection: fc.nat(3),
    act: fc.constantFrom('text', 'bytes', 'many', 'read', 'keep', 'take', 'turn', 'turn', 'flush'),
    length: fc.integer({ min: 1, max: 70_000 }),
  }),
  { minLength: 10, maxLength: 120 },
);

test('every transport gets its own bytes in their order, however long it keeps them', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const transports = [0, 1, 2, 3].map(() => new FakeTransport());
      const outputs = transports.map((transport) => new Output(transport));
      const expected = ['', '', '', ''];
      let slab: Slab = readSlabs.take();
      let letter = 0;
      for (const { connection, act, length } of list) {
        const output = outputs[connection] as Output;
        const transport = transports[connection] as FakeTransport;
        const small = String.fromCharCode(97 + (letter++ % 26)).repeat(length % 700);
        const large = String.fromCharCode(65 + (letter % 26)).repeat(length);
        if (act === 'text') output.text(small);
        else if (act === 'bytes') output.bytes(Buffer.from(small));
        else if (act === 'many') output.bytes(Buffer.from(large));
        else if (act === 'read') {
          // A reader's slab: used again at once unless it was lent.
          output.bytes(slab.buffer.subarray(0, slab.buffer.write(large, 'latin1')));
          if (slab.loans > 0) {
            slab.leave();
            slab = readSlabs.take();
          } else slab.buffer.fill(0);
        } else if (act === 'keep') transport.keeps = true;
        else if (act === 'take') {
          transport.keeps = false;
          transport.finish();
        } else if (act === 'turn') flushOutputs();
        else output.flush();
        if (act === 'text' || act === 'bytes') expected[connection] += small;
        else if (act === 'many' || act === 'read') expected[connection] += large;
      }
      flushOutputs();
      for (const transport of transports) transport.finish();
      slab.leave();
      transports.forEach(({ taken }, at) => {
        assert.equal(taken === expected[at], true, `connection ${at} got other bytes than were written`);
      });
    }),
    { numRuns: 200, seed: 20261121 },
  );
});

test('a socket that is destroyed with bytes to write gives its loans back', async (t) => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket.pause()));
  t.after(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const socket: Socket = connect(address.port, '127.0.0.1');
  t.after(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  const before = readSlabs.out;
  const output = new Output(socket);
  for (let i = 0; i < 100 && socket.writableLength === 0; i++) {
    const slab = readSlabs.take();
    output.bytes(slab.buffer);
    slab.leave();
  }
  assert.ok(readSlabs.out > before, 'the socket has a loan');
  socket.on('error', () => undefined);
  socket.destroy();
  await new Promise((resolve) => socket.once('close', resolve));
  const other = new Output(new FakeTransport());
  other.text('the next turn');
  flushOutputs();
  assert.equal(readSlabs.out, before);
});

test('slabs that nobody needed for a while are let go', () => {
  const gone: Slab[] = [];
  const pool = new SlabPool(16, 8, undefined, (slab) => gone.push(slab));
  const slabs = [pool.take(), pool.take(), pool.take()];
  for (const slab of slabs) slab.leave();
  pool.trim();
  assert.equal(gone.length, 0, 'they were in use until now');
  pool.take().leave();
  pool.trim();
  assert.equal(gone.length, 2, 'one was taken meanwhile');
  pool.trim();
  assert.equal(gone.length, 3);
});
