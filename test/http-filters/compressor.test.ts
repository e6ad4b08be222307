import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { brotliDecompressSync, createGunzip, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { COMPRESSOR } from '../../proxy/filters/http/compressor/compressor.ts';
import { stageMemory } from '../../proxy/http/coding-stage.ts';
import type { ResponseHead } from '../../proxy/http/headers.ts';
import type { CompressorConfig, CompressorLibrary } from '../../xds-client/model/filters/compression.ts';
import { fromPlain, plain } from '../../xds-client/model/plain.ts';
import { head, headers } from '../observe/stream-info.ts';
import { until } from '../upstream/support.ts';
import { BROTLI, ended, GZIP, ZSTD } from './coded.ts';
import { filterConfig, refusedFilter, routeConfig } from './decoding.ts';
import { FilterRun, type RunOptions } from './support.ts';

const ON = { value: true, key: undefined };
const OFF = { value: false, key: undefined };
const DIRECTION = { enabled: ON, minLength: 30, contentTypes: ['text/plain'] };
const TEXT = 'a payment of 100, '.repeat(10);

function config(changes: Partial<CompressorConfig> = {}): CompressorConfig {
  return {
    name: 'text',
    library: GZIP,
    request: { ...DIRECTION, enabled: OFF },
    response: { ...DIRECTION, disableOnEtag: false, removeAcceptEncoding: false },
    responseStats: true,
    chooseFirst: false,
    ...changes,
  };
}

function run(
  changes: Partial<CompressorConfig> = {},
  fields: { readonly [name: string]: string } = { 'accept-encoding': 'gzip' },
  options: RunOptions = {},
): FilterRun {
  const setup = { factory: COMPRESSOR, config: plain(config(changes)) };
  return new FilterRun([setup], { head: head(fields, '/p'), ...options });
}

function ok(fields: { readonly [name: string]: string } = {}): ResponseHead {
  return { status: 200, headers: headers({ 'content-type': 'text/plain', ...fields }) };
}

const LIBRARIES: readonly [CompressorLibrary, string, (bytes: Buffer) => Buffer][] = [
  [GZIP, 'gzip', gunzipSync],
  [BROTLI, 'br', brotliDecompressSync],
  [ZSTD, 'zstd', zstdDecompressSync],
];

for (const [library, coding, decode] of LIBRARIES) {
  test(`a response is compressed with ${coding}`, async () => {
    const it = run({ library }, { 'accept-encoding': coding });
    it.request();
    it.respond(ok({ 'content-length': String(TEXT.length * 2), etag: '"1"' }), TEXT, TEXT);
    await ended(it, 'response');
    assert.equal(decode(it.responseBody).toString(), TEXT + TEXT);
    const sent = it.responseHead?.headers;
    assert.deepEqual(
      ['content-encoding', 'vary', 'content-length', 'etag'].map((name) => sent?.get(name)),
      [coding, 'Accept-Encoding', undefined, undefined],
    );
    const prefix = `http.test.compressor.text.${library.kind}.`;
    assert.equal(it.stat(`${prefix}response.compressed`), 1);
    assert.equal(it.stat(`${prefix}response.total_uncompressed_bytes`), TEXT.length * 2);
    assert.equal(it.stat(`${prefix}response.total_compressed_bytes`), it.responseBody.length);
    assert.equal(it.stat(`${prefix}header_compressor_used`), 1);
    it.end();
    assert.equal(stageMemory(), 0);
  });

  test(`each piece can be read as soon as it is sent, with ${coding}`, async () => {
    const it = run({ library }, { 'accept-encoding': coding });
    it.request();
    it.chain.sendHead(ok(), false);
    it.chain.sendData(Buffer.from('first'), false);
    await until(() => it.responseBody.length > 5, 'the first piece has come');
    // Nothing more was sent: what came must hold all of the piece.
    const options = { finishFlush: coding === 'br' ? 1 : coding === 'zstd' ? 1 : 2 };
    const partial =
      coding === 'gzip'
        ? gunzipSync(it.responseBody, options)
        : coding === 'br'
          ? brotliDecompressSync(it.responseBody, options)
          : zstdDecompressSync(it.responseBody, options);
    assert.equal(partial.toString(), 'first');
    it.end();
    assert.equal(stageMemory(), 0);
  });
}

test('a request is compressed where the configuration says so, with its trailers', async () => {
  const it = run({ request: DIRECTION }, { 'content-type': 'text/plain' });
  it.request(undefined, TEXT, headers({ checksum: '1' }));
  await ended(it, 'request');
  assert.equal(gunzipSync(it.requestBody).toString(), TEXT);
  assert.equal(it.requestHead?.headers.get('content-encoding'), 'gzip');
  assert.equal(it.toUpstream.at(-1), 'trailers checksum=1');
  it.end();
});

test('a head that ends its message is left alone, and told to caches', () => {
  const it = run();
  it.request();
  it.respond(ok({ 'content-length': '1000' }));
  assert.deepEqual(it.toDownstream, ['head 200 end']);
  assert.equal(it.responseHead?.headers.get('vary'), 'Accept-Encoding');
  assert.equal(it.responseHead?.headers.get('content-length'), '1000');
});

test('a source that is faster than the library is told to wait', async () => {
  const it = run({ library: { ...GZIP, level: 9 } });
  it.request();
  it.chain.sendHead(ok(), false);
  const piece = randomBytes(64 * 1024);
  let sent = 0;
  while (sent < 64 && it.chain.sendData(piece, false)) sent++;
  assert.ok(sent < 8, `${sent} pieces were taken at once`);
  await until(() => it.drains === 1, 'the source may go on');
  assert.equal(it.chain.sendData(Buffer.from('x'), true), true);
  await ended(it, 'response');
  assert.equal(gunzipSync(it.responseBody).length, (sent + 1) * piece.length + 1);
  it.end();
});

test('while the downstream takes nothing, little is compressed and the source waits', async () => {
  const it = run();
  it.request();
  it.writable = false;
  it.chain.sendHead(ok(), false);
  const piece = randomBytes(64 * 1024);
  let sent = 0;
  for (let turn = 0; turn < 50; turn++) {
    if (it.chain.sendData(piece, false)) sent++;
    await new Promise((done) => setImmediate(done));
  }
  assert.equal(it.responseBody.length, 0);
  assert.equal(sent, 0);
  it.writable = true;
  it.chain.onDownstreamDrain();
  it.chain.sendData(Buffer.from('end'), true);
  await ended(it, 'response');
  assert.equal(gunzipSync(it.responseBody).length, 50 * piece.length + 3);
  it.end();
});

test('a stream may end while the library works', async () => {
  for (let turn = 0; turn < 20; turn++) {
    const it = run({ request: DIRECTION }, { 'accept-encoding': 'gzip', 'content-type': 'text/plain' });
    it.request(undefined, randomBytes(1 << 16));
    it.chain.sendHead(ok(), false);
    it.chain.sendData(randomBytes(1 << 16), turn % 2 === 0);
    if (turn % 3 === 0) await new Promise((done) => setImmediate(done));
    it.end();
    const seen = it.responseBody.length;
    await new Promise((done) => setImmediate(done));
    assert.equal(it.responseBody.length, seen);
  }
  assert.equal(stageMemory(), 0);
});

test('bodies beyond the budget stay as they are, and are counted', () => {
  const library: CompressorLibrary = { ...ZSTD, level: 19 };
  const runs = Array.from({ length: 5 }, () => run({ library }, { 'accept-encoding': 'zstd' }));
  for (const it of runs) {
    it.request();
    it.chain.sendHead(ok(), false);
    it.chain.sendData(Buffer.from(TEXT), false);
  }
  const compressed = runs.map((it) => it.responseHead?.headers.has('content-encoding'));
  assert.deepEqual(compressed, [true, true, false, false, false]);
  assert.deepEqual(runs[2]?.toDownstream, ['head 200', `data ${TEXT}`]);
  assert.equal(runs[2]?.stat('http.test.compressor.text.zstd.over_budget'), 1);
  for (const it of runs) it.end();
  assert.equal(stageMemory(), 0);
});

test('the runtime switches a direction', () => {
  const flagged = { ...DIRECTION, disableOnEtag: false, removeAcceptEncoding: false };
  for (const [value, runtime, compressed] of [
    [true, { 'pay.compress': false }, undefined],
    [false, { 'pay.compress': true }, 'gzip'],
    [false, {}, undefined],
  ] as const) {
    const response = { ...flagged, enabled: { value, key: 'pay.compress' } };
    const it = run({ response }, { 'accept-encoding': 'gzip' }, { runtime });
    it.request();
    it.chain.sendHead(ok(), false);
    assert.equal(it.responseHead?.headers.get('content-encoding'), compressed);
    it.end();
  }
});

test('the old form of the configuration counts responses without a direction', async () => {
  const it = run({ responseStats: false });
  it.request();
  it.respond(ok(), TEXT);
  await ended(it, 'response');
  assert.equal(it.stat('http.test.compressor.text.gzip.compressed'), 1);
  it.end();
});

test('a local reply is compressed as any response', async () => {
  const it = run();
  it.request();
  it.chain.sendLocalReply(503, TEXT, 'overloaded');
  await ended(it, 'response');
  assert.equal(it.responseHead?.headers.get('content-encoding'), 'gzip');
  assert.equal(gunzipSync(it.responseBody).toString(), TEXT);
  it.end();
});

test('what is compressed is read by another library as it comes', async () => {
  const it = run();
  it.request();
  const reader = createGunzip();
  let read = '';
  reader.on('data', (chunk: Buffer) => {
    read += chunk.toString();
  });
  let given = 0;
  for (const piece of ['one, ', 'two, ', 'three']) {
    if (given === 0) it.chain.sendHead(ok(), false);
    const before = read.length;
    it.chain.sendData(Buffer.from(piece), piece === 'three');
    await until(() => {
      reader.write(it.responseBody.subarray(given));
      given = it.responseBody.length;
      return read.length >= before + piece.length;
    }, `"${piece}" was read`);
  }
  assert.equal(read, 'one, two, three');
  reader.destroy();
  it.end();
});

const TYPE = 'envoy.extensions.filters.http.compressor.v3.Compressor';
const LIBRARY = 'envoy.extensions.compression';

function named(kind: string, options: object = {}): { readonly [field: string]: unknown } {
  return {
    compressor_library: {
      name: 'text',
      typed_config: { '@type': `type.googleapis.com/${LIBRARY}.${kind}`, ...options },
    },
  };
}

test('a configuration without a word compresses responses with Envoy’s defaults', () => {
  const decoded = fromPlain<CompressorConfig>(filterConfig(TYPE, named('gzip.compressor.v3.Gzip')));
  assert.deepEqual(decoded.library, GZIP);
  assert.deepEqual(
    [decoded.name, decoded.request.enabled.value, decoded.response.enabled.value, decoded.response.minLength],
    ['text', false, true, 30],
  );
  assert.equal(decoded.response.contentTypes.includes('application/json'), true);
  assert.equal(decoded.responseStats, false);
  const brotli = fromPlain<CompressorConfig>(filterConfig(TYPE, named('brotli.compressor.v3.Brotli')));
  assert.deepEqual(brotli.library, BROTLI);
});

test('a dictionary, a library of another kind and a number out of range are refused', () => {
  const dictionary = named('zstd.compressor.v3.Zstd', { dictionary: { inline_bytes: 'YWJj' } });
  assert.match(refusedFilter(TYPE, dictionary)[0] ?? '', /dictionary.*dictionaries are not supported/);
  assert.match(refusedFilter(TYPE, named('gzip.decompressor.v3.Gzip'))[0] ?? '', /no compressor library of type/);
  const level = named('gzip.compressor.v3.Gzip', { memory_level: 10 });
  assert.match(refusedFilter(TYPE, level)[0] ?? '', /memory_level: value must be inside range \[1, 9\], is 10/);
});

test('a route disables, or overrides with what it names', () => {
  const route = `${TYPE}PerRoute`;
  assert.deepEqual(routeConfig(route, { disabled: true }), { disabled: true });
  assert.deepEqual(
    routeConfig(route, { overrides: { response_direction_config: { remove_accept_encoding_header: false } } }),
    { enabled: true, removeAcceptEncoding: false },
  );
  assert.deepEqual(routeConfig(route, { overrides: {} }), {});
});
