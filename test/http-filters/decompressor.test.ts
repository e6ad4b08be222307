import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { brotliCompressSync, constants, gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { COMPRESSOR } from '../../proxy/filters/http/compressor/compressor.ts';
import { DECOMPRESSOR } from '../../proxy/filters/http/decompressor/decompressor.ts';
import { stageMemory } from '../../proxy/http/coding-stage.ts';
import type { ResponseHead } from '../../proxy/http/headers.ts';
import { ResponseFlag } from '../../proxy/http/stream-info.ts';
import type {
  CompressorConfig,
  DecompressorConfig,
  DecompressorLibrary,
} from '../../xds-client/model/filters/compression.ts';
import { plain } from '../../xds-client/model/plain.ts';
import { head, headers } from '../observe/stream-info.ts';
import { until } from '../upstream/support.ts';
import { ended, GUNZIP, GZIP, UNBROTLI, UNZSTD } from './coded.ts';
import { FilterRun } from './support.ts';

const ON = { value: true, key: undefined };
const OFF = { value: false, key: undefined };
const DIRECTION = { enabled: ON, ignoreNoTransform: false };
const TEXT = Buffer.from('a payment of 100, '.repeat(10));

function setup(changes: Partial<DecompressorConfig> = {}) {
  const own: DecompressorConfig = {
    name: 'Text',
    library: GUNZIP,
    request: DIRECTION,
    response: DIRECTION,
    advertise: true,
    ...changes,
  };
  return { factory: DECOMPRESSOR, config: plain(own) };
}

function run(changes: Partial<DecompressorConfig> = {}, fields: { readonly [name: string]: string } = {}): FilterRun {
  return new FilterRun([setup(changes)], { head: head(fields, '/p'), limitBytes: 1 << 20 });
}

function coded(coding: string, fields: { readonly [name: string]: string } = {}): ResponseHead {
  return { status: 200, headers: headers({ 'content-encoding': coding, ...fields }) };
}

/** The best quality takes seconds. */
function brotliFast(bytes: Buffer): Buffer {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
}

const LIBRARIES: readonly [DecompressorLibrary, string, (bytes: Buffer) => Buffer, string, string][] = [
  [GUNZIP, 'gzip', gzipSync, 'zlib_data_error', 'zlib_buf_error'],
  [UNBROTLI, 'br', brotliFast, 'brotli_error', 'brotli_error'],
  [UNZSTD, 'zstd', zstdCompressSync, 'zstd_generic_error', 'zstd_generic_error'],
];

for (const [library, coding, encode, broken, cut] of LIBRARIES) {
  const prefix = `http.test.decompressor.Text.${library.kind}.`;

  test(`a response is decompressed from ${coding}, a byte at a time`, async () => {
    const it = run({ library });
    it.request();
    const bytes = encode(TEXT);
    it.respond(coded(coding, { 'content-length': String(bytes.length) }), ...[...bytes].map((byte) => Buffer.of(byte)));
    await ended(it, 'response');
    assert.deepEqual(it.responseBody, TEXT);
    assert.equal(it.responseHead?.headers.has('content-encoding'), false);
    assert.equal(it.responseHead?.headers.has('content-length'), false);
    assert.equal(
      it.toDownstream.at(-1),
      `trailers x-envoy-decompressor-text-compressed-bytes=${bytes.length} x-envoy-decompressor-text-uncompressed-bytes=${TEXT.length}`,
    );
    assert.equal(it.stat(`${prefix}response.decompressed`), 1);
    assert.equal(it.stat(`${prefix}response.total_compressed_bytes`), bytes.length);
    assert.equal(it.stat(`${prefix}response.total_uncompressed_bytes`), TEXT.length);
    it.end();
    assert.equal(stageMemory(), 0);
  });

  test(`broken ${coding} ends a request with 400 and a response with a reset`, async () => {
    const it = run({ library }, { 'content-encoding': coding });
    it.request(undefined, Buffer.from('this is nothing of the kind'), 'more');
    await until(() => it.toDownstream.length > 0, 'the request was answered');
    assert.equal(it.toDownstream[0], 'local 400  decompressor_broken_body');
    assert.equal(it.stat(`${prefix}decompressor_library.${broken}`), 1);
    it.end();
    const other = run({ library });
    other.request();
    other.respond(coded(coding), encode(TEXT).subarray(0, -1));
    await until(() => other.toDownstream.some((part) => part.startsWith('local 502')), 'the response has ended');
    assert.equal(other.toDownstream.includes('local 502  decompressor_broken_body'), true);
    assert.equal(other.info.flags & ResponseFlag.UpstreamProtocolError, ResponseFlag.UpstreamProtocolError);
    assert.equal(other.stat(`${prefix}decompressor_library.${cut}`), 1);
    other.end();
    assert.equal(stageMemory(), 0);
  });

  test(`little ${coding} that becomes much ends the stream before much is there`, async () => {
    const it = run({ library });
    it.request();
    it.respond(coded(coding), encode(Buffer.alloc(4 << 20)).subarray(0, 1024));
    await until(() => it.toDownstream.some((part) => part.startsWith('local')), 'the response has ended');
    assert.equal(it.toDownstream.includes('local 502  decompressor_excessive_body'), true);
    assert.ok(it.responseBody.length <= 1024 * library.maxRatio + library.freeBytes);
    it.end();
    assert.equal(stageMemory(), 0);
  });
}

test('a small body that becomes too much at once is refused, and nothing follows', () => {
  const it = run();
  it.request();
  it.respond(coded('gzip'), gzipSync(Buffer.alloc(30_000)));
  assert.deepEqual(it.toDownstream.slice(0, 2), ['head 200', 'local 502  decompressor_excessive_body']);
  assert.equal(
    it.toDownstream.some((part) => part.startsWith('trailers')),
    false,
  );
  assert.equal(it.responseBody.length, 0);
  it.end();
  const sent = run({}, { 'content-encoding': 'gzip' });
  sent.request(undefined, gzipSync(Buffer.alloc(30_000)));
  assert.equal(sent.toDownstream[0], 'local 400  decompressor_excessive_body');
  assert.deepEqual(sent.toUpstream, ['head GET /p']);
  sent.end();
  assert.equal(stageMemory(), 0);
});

test('a request is decompressed, its trailers stay, and the upstream is told what may come', async () => {
  const it = run({}, { 'content-encoding': 'GZIP', 'accept-encoding': 'br' });
  it.request(undefined, gzipSync(TEXT), headers({ checksum: '1' }));
  await ended(it, 'request');
  assert.deepEqual(it.requestBody, TEXT);
  assert.equal(it.requestHead?.headers.get('accept-encoding'), 'br,gzip');
  assert.match(it.toUpstream.at(-1) ?? '', /^trailers checksum=1 x-envoy-decompressor-text-compressed-bytes=\d+ /);
  it.end();
});

test('what is of another coding, or must not change, passes as it is', () => {
  const keeps: readonly [string, { readonly [name: string]: string }, Partial<DecompressorConfig>][] = [
    ['br', {}, {}],
    ['gzip, br', {}, {}],
    ['gzip', { 'cache-control': 'private, No-Transform' }, {}],
    ['gzip', {}, { response: { ...DIRECTION, enabled: OFF } }],
  ];
  for (const [coding, fields, changes] of keeps) {
    const it = run(changes);
    it.request();
    it.respond(coded(coding, fields), 'as it is');
    assert.deepEqual(it.toDownstream, ['head 200', 'data as it is end']);
    assert.equal(it.responseHead?.headers.get('content-encoding'), coding);
    assert.equal(it.stat('http.test.decompressor.Text.gzip.response.not_decompressed'), 1);
  }
});

test('no-transform is overlooked where the configuration says so', async () => {
  const it = run({ response: { enabled: ON, ignoreNoTransform: true } });
  it.request();
  it.respond(coded('gzip', { 'cache-control': 'no-transform' }), gzipSync(TEXT));
  await ended(it, 'response');
  assert.deepEqual(it.responseBody, TEXT);
  it.end();
});

test('of several codings the last is taken off, by each filter its own', async () => {
  const brotli = setup({ library: UNBROTLI });
  const gzip = { ...setup(), factory: { ...DECOMPRESSOR, name: 'second' } };
  const it = new FilterRun([brotli, gzip], { head: head({}, '/p') });
  it.request();
  it.respond(coded('br, gzip'), gzipSync(brotliCompressSync(TEXT)));
  await ended(it, 'response');
  assert.deepEqual(it.responseBody, TEXT);
  assert.equal(it.responseHead?.headers.has('content-encoding'), false);
  it.end();
});

test('what is decompressed waits for a compressor behind it, however much comes of little', async () => {
  // Repeats that the decompressor's window holds and the compressor's does not: much of little, and all of it work.
  const block = randomBytes(16 * 1024);
  const mebibyte = gzipSync(Buffer.concat(new Array<Buffer>(64).fill(block)));
  const compressor: CompressorConfig = {
    name: 'out',
    library: { ...GZIP, level: 9, windowBits: 9 },
    request: { enabled: OFF, minLength: 0, contentTypes: [] },
    response: { enabled: ON, minLength: 0, contentTypes: [], disableOnEtag: false, removeAcceptEncoding: false },
    responseStats: true,
    chooseFirst: false,
  };
  const out = { factory: COMPRESSOR, config: plain(compressor) };
  const it = new FilterRun([out, setup()], { head: head({ 'accept-encoding': 'gzip' }, '/p') });
  it.request();
  it.chain.sendHead(coded('gzip'), false);
  for (let i = 0; i < 2; i++) it.chain.sendData(mebibyte, i === 1);
  let most = 0;
  await until(() => {
    const taken = it.stat('http.test.compressor.out.gzip.response.total_uncompressed_bytes');
    const given = it.stat('http.test.compressor.out.gzip.response.total_compressed_bytes');
    most = Math.max(most, taken - given);
    return it.toDownstream.at(-1)?.startsWith('trailers') === true;
  }, 'the response has ended');
  assert.equal(gunzipSync(it.responseBody).length, 2 << 20);
  assert.ok(most < 256 * 1024, `${most} bytes were held`);
  it.end();
  assert.equal(stageMemory(), 0);
});
