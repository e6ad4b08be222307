import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CallCounts } from '../../proxy/filters/http/grpc-web/call-counts.ts';
import { GRPC_WEB } from '../../proxy/filters/http/grpc-web/grpc-web.ts';
import { HeaderMap, type ResponseHead } from '../../proxy/http/headers.ts';
import { MainStats } from '../../proxy/observe/stats/main-stats.ts';
import { head, headers } from '../observe/stream-info.ts';
import { FilterRun } from './support.ts';

const PATH = '/pay.Settlement/Report';

function run(fields: { readonly [name: string]: string }): FilterRun {
  const it = new FilterRun([{ factory: GRPC_WEB }], { head: head(fields, PATH), limitBytes: 1 << 20 });
  it.info.cluster = 'settlement';
  return it;
}

function grpc(fields: { readonly [name: string]: string } = {}, status = 200): ResponseHead {
  return { status, headers: headers({ 'content-type': 'application/grpc', ...fields }) };
}

/** A frame of gRPC. */
function message(payload: Buffer | string): Buffer {
  const bytes = Buffer.from(payload);
  const framed = Buffer.alloc(5);
  framed.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([framed, bytes]);
}

const BINARY = { 'content-type': 'application/grpc-web+proto', 'content-length': '8' };
const TEXT = { 'content-type': 'application/grpc-web-text', accept: 'application/grpc-web-text' };

test('a gRPC-Web request becomes a gRPC one', () => {
  const it = run(BINARY);
  it.request(undefined, message('abc'));
  const sent = it.requestHead?.headers;
  assert.deepEqual(
    ['content-type', 'te', 'grpc-accept-encoding', 'content-length'].map((name) => sent?.get(name)),
    ['application/grpc', 'trailers', 'identity', undefined],
  );
  assert.deepEqual(it.requestBody, message('abc'));
});

test('other requests pass as they are', () => {
  for (const type of ['application/grpc', 'application/grpc-web; charset=x', 'Application/grpc-web', 'text/plain']) {
    const it = run({ 'content-type': type });
    it.request(undefined, 'abc');
    it.respond(grpc(), 'xyz', headers({ 'grpc-status': '0' }));
    assert.equal(it.requestHead?.headers.get('content-type'), type);
    assert.deepEqual(it.toDownstream, ['head 200', 'data xyz', 'trailers grpc-status=0']);
  }
});

test('trailers become the last frame of the body', () => {
  const it = run(BINARY);
  it.request(undefined, message('abc'));
  it.respond(grpc({ 'content-length': '8' }), message('xyz'), headers({ 'grpc-status': '0', 'grpc-message': 'ok' }));
  assert.equal(it.responseHead?.headers.get('content-type'), 'application/grpc-web+proto');
  assert.equal(it.responseHead?.headers.has('content-length'), false);
  const trailers = 'grpc-status:0\r\ngrpc-message:ok\r\n';
  const last = Buffer.concat([Buffer.from([0x80, 0, 0, 0, trailers.length]), Buffer.from(trailers)]);
  assert.deepEqual(it.responseBody, Buffer.concat([message('xyz'), last]));
  assert.match(it.toDownstream.at(-1) ?? '', / end$/);
  const prefix = 'cluster.settlement.grpc-web.pay.Settlement.Report.';
  assert.deepEqual(
    ['0', 'success', 'failure', 'total'].map((name) => it.stat(prefix + name)),
    [1, 1, 0, 1],
  );
});

test('text is the same bytes wherever its pieces begin and end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 20 }),
      (payloads, sizes) => {
        const frames = payloads.map((payload) => message(Buffer.from(payload)));
        const bytes = Buffer.concat(frames);
        const it = run(TEXT);
        it.request(undefined, ...pieces(Buffer.from(bytes.toString('base64')), sizes));
        assert.deepEqual(it.requestBody, bytes);
        assert.equal(it.requestHead?.headers.get('content-type'), 'application/grpc');
        it.respond(grpc(), ...pieces(bytes, sizes), headers({ 'grpc-status': '0' }));
        const last = Buffer.concat([Buffer.from([0x80, 0, 0, 0, 15]), Buffer.from('grpc-status:0\r\n')]);
        const parts = [...frames, last].map((frame) => frame.toString('base64'));
        assert.equal(it.responseBody.toString(), parts.join(''));
        assert.equal(it.responseHead?.headers.get('content-type'), 'application/grpc-web-text+proto');
      },
    ),
    { seed: 7, numRuns: 200 },
  );
});

function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    found.push(bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}

test('padded parts of text may follow each other', () => {
  const it = run(TEXT);
  it.request(undefined, 'YQ==Y', 'WI=YWJj');
  assert.equal(it.requestBody.toString(), 'aababc');
});

test('text that is no base64 is answered with an error of gRPC', () => {
  for (const [text, details] of [
    ['aGVsbG8', 'grpc_base_64_decode_failed_bad_size'],
    ['####', 'grpc_base_64_decode_failed'],
    ['=abc', 'grpc_base_64_decode_failed'],
    ['YQ=b', 'grpc_base_64_decode_failed'],
  ] as const) {
    const it = run(TEXT);
    it.request(undefined, text);
    assert.equal(it.toDownstream[0], `local 400 Bad gRPC-web request, invalid base64 data. ${details}`);
    assert.equal(it.responseHead?.headers.get('grpc-status'), '13');
    assert.equal(it.responseHead?.headers.get('grpc-message'), 'Bad gRPC-web request, invalid base64 data.');
    assert.deepEqual(it.toUpstream, ['head GET /pay.Settlement/Report']);
  }
  const cut = run(TEXT);
  cut.request(undefined, 'YWJjYQ', headers({ checksum: '1' }));
  assert.match(cut.toDownstream[0] ?? '', /bad_size$/);
});

test('an answer that is no gRPC one becomes a status with its body as the message', () => {
  const it = run(BINARY);
  it.request();
  it.respond({ status: 404, headers: headers({ 'content-type': 'text/html' }) }, 'no ', 'such\n%');
  assert.deepEqual(it.toDownstream, ['head 404', 'data  end']);
  const { headers: sent } = it.responseHead ?? { headers: new HeaderMap() };
  assert.deepEqual(
    ['content-type', 'grpc-status', 'grpc-message', 'content-length'].map((name) => sent.get(name)),
    ['application/grpc-web+proto', '12', 'no such%0A%25', '0'],
  );
});

test('no more of a foreign body is kept than makes a message', () => {
  const it = run(BINARY);
  it.request();
  const chunk = 'x'.repeat(1 << 20);
  it.respond({ status: 200, headers: new HeaderMap() }, chunk, chunk, chunk);
  assert.deepEqual(it.toDownstream, ['head 200', 'data  end']);
  assert.equal(it.responseHead?.headers.get('grpc-message')?.length, 16_384);
  assert.equal(it.responseHead?.headers.get('grpc-status'), '2');
});

test('a response of trailers alone keeps them in its head', () => {
  const it = run(TEXT);
  it.request();
  it.respond(grpc({ 'grpc-status': '5', 'content-length': '0' }));
  assert.deepEqual(it.toDownstream, ['head 200 end']);
  assert.equal(it.responseHead?.headers.get('content-type'), 'application/grpc-web-text+proto');
  assert.equal(it.stat('cluster.settlement.grpc-web.pay.Settlement.Report.5'), 1);
  assert.equal(it.stat('cluster.settlement.grpc-web.pay.Settlement.Report.failure'), 1);
});

test('text that ends inside a frame goes out whole', () => {
  const it = run(TEXT);
  it.request();
  it.respond(grpc(), message('abcd').subarray(0, 7));
  assert.deepEqual(Buffer.from(it.responseBody.toString(), 'base64'), message('abcd').subarray(0, 7));
});

test('there is a limit to the names that requests can bring into the statistics', () => {
  const names = new Set<string>();
  const stats = new MainStats();
  const counts = new CallCounts((name) => {
    names.add(name);
    return stats.counter(name);
  });
  for (let i = 0; i < 1500; i++) counts.count('settlement', `/s/m${i}`, '0');
  for (let i = 0; i < 100; i++) counts.count('settlement', '/s/m0', String(i));
  counts.count('settlement', '/s/m0', 'many');
  counts.count('settlement', '/only', '0');
  assert.equal(names.size, 1000 * 3 + 30);
});
