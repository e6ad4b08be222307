import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { sharedReads } from '../../proxy/http/bytes.ts';
import { compressing, decompressing, type StageOwner, stageMemory, startStage } from '../../proxy/http/coding-stage.ts';
import { BROTLI, GUNZIP, GZIP } from '../http-filters/coded.ts';
import { until } from '../upstream/support.ts';

class Owner implements StageOwner {
  readonly output: Buffer[] = [];
  readonly full: boolean[] = [];
  ended = false;
  error: NodeJS.ErrnoException | undefined = undefined;
  onChunk: () => void = () => undefined;

  onOutput(chunk: Buffer): void {
    this.output.push(chunk);
    this.onChunk();
  }

  onOutputEnd(): void {
    this.ended = true;
  }

  onBroken(error: NodeJS.ErrnoException): void {
    this.error = error;
  }

  onFull(full: boolean): void {
    this.full.push(full);
  }
}

const MIB = 1 << 20;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((done) => setImmediate(done));
}

test('what is held back is not worked on: little input does not become much memory', async () => {
  const owner = new Owner();
  const stage = startStage(decompressing(GUNZIP), owner);
  owner.onChunk = () => stage?.hold(true);
  const mebibyte = gzipSync(Buffer.alloc(MIB));
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 100; i++) stage?.write(mebibyte, false);
  await until(() => owner.output.length === 1, 'the first piece has come');
  await turns(300);
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * MIB);
  assert.equal(owner.output.length, 1);
  assert.deepEqual(owner.full, [true]);
  stage?.destroy();
  assert.equal(stageMemory(), 0);
});

test('a shared read buffer may be read into again as soon as a piece is taken', async () => {
  const owner = new Owner();
  const stage = startStage(compressing(GZIP), owner);
  const shared = sharedReads(1024);
  for (const byte of 'abc') {
    shared.fill(byte);
    stage?.write(shared, false);
  }
  stage?.end();
  await until(() => owner.ended, 'the body has ended');
  const expected = ['a', 'b', 'c'].map((byte) => byte.repeat(1024)).join('');
  assert.equal(gunzipSync(Buffer.concat(owner.output)).toString(), expected);
  assert.equal(stageMemory(), 0);
});

test('a small body that is there at once needs no trip to the thread pool', () => {
  const text = Buffer.from('a payment of 100, '.repeat(50));
  const squeezed = new Owner();
  startStage(compressing(GZIP), squeezed)?.write(text, true);
  assert.deepEqual([squeezed.ended, squeezed.output.length], [true, 1]);
  const restored = new Owner();
  startStage(decompressing(GUNZIP), restored)?.write(squeezed.output[0] ?? text, true);
  assert.deepEqual([restored.ended, restored.output[0]], [true, text]);
  assert.equal(stageMemory(), 0);
});

test('what is held, large, slow to make or becomes much is streamed', async () => {
  const held = new Owner();
  const stage = startStage(compressing(GZIP), held);
  stage?.hold(true);
  stage?.write(Buffer.from('abc'), true);
  assert.equal(held.ended, false);
  stage?.hold(false);
  const large = new Owner();
  startStage(compressing(GZIP), large)?.write(Buffer.alloc(17 * 1024), true);
  const slow = new Owner();
  startStage(compressing({ ...BROTLI, quality: 11 }), slow)?.write(Buffer.from('abc'), true);
  const much = new Owner();
  startStage(decompressing(GUNZIP), much)?.write(gzipSync(Buffer.alloc(100 * 1024)), true);
  const broken = new Owner();
  startStage(decompressing(GUNZIP), broken)?.write(Buffer.from('broken'), true);
  assert.deepEqual([large.ended, slow.ended, much.ended, broken.error], [false, false, false, undefined]);
  await until(() => [held, large, slow, much].every(({ ended }) => ended), 'all have ended');
  await until(() => broken.error !== undefined, 'the broken one is known');
  assert.equal(Buffer.concat(much.output).length, 100 * 1024);
  assert.equal(stageMemory(), 0);
});

test('a stage that is given back calls nobody, whatever the library still does', async () => {
  const owner = new Owner();
  const stage = startStage(decompressing(GUNZIP), owner);
  stage?.write(Buffer.from('broken'), false);
  stage?.destroy();
  stage?.write(Buffer.from('more'), false);
  stage?.hold(true);
  stage?.end();
  stage?.destroy();
  await turns(50);
  assert.deepEqual([owner.output, owner.full, owner.ended, owner.error], [[], [], false, undefined]);
  assert.equal(stageMemory(), 0);
});

test('a body that alone is beyond the budget goes, a second one does not', () => {
  const kind = { ...compressing(GZIP), memory: 300 * MIB };
  const first = startStage(kind, new Owner());
  assert.notEqual(first, undefined);
  assert.equal(startStage(compressing(GZIP), new Owner()), undefined);
  first?.destroy();
  const again = startStage(compressing(GZIP), new Owner());
  assert.notEqual(again, undefined);
  again?.destroy();
  assert.equal(stageMemory(), 0);
});
