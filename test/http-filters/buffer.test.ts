import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUFFER } from '../../proxy/filters/http/buffer/buffer.ts';
import type { Json } from '../../xds-client/model/common.ts';
import { head, headers } from '../observe/stream-info.ts';
import { FilterRun } from './support.ts';

function run(maxRequestBytes: number, perRoute: readonly Json[] = []): FilterRun {
  return new FilterRun([{ factory: BUFFER, config: { maxRequestBytes }, perRoute }], { head: head({}, '/p') });
}

test('a request goes on when it is whole, with its length', () => {
  const it = run(10);
  it.chain.onRequestHead(it.info.request, false);
  it.chain.onRequestData(Buffer.from('abc'), false);
  assert.deepEqual(it.toUpstream, []);
  it.chain.onRequestData(Buffer.from('de'), true);
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data abc', 'data de end']);
  assert.equal(it.requestHead?.headers.get('content-length'), '5');
});

test('a request that ends with its head passes as it is', () => {
  const it = run(10);
  it.request();
  assert.deepEqual(it.toUpstream, ['head GET /p end']);
  assert.equal(it.requestHead?.headers.has('content-length'), false);
});

test('trailers end what is held; a length that was given stays', () => {
  const it = run(10);
  it.info.request.headers.add('content-length', '3');
  it.request(undefined, 'abc', headers({ checksum: '1' }));
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data abc', 'trailers checksum=1']);
  assert.equal(it.requestHead?.headers.joined('content-length'), '3');
});

test('more than the limit is 413, exactly as much is not', () => {
  const over = run(4);
  over.request(undefined, 'abc', 'de');
  assert.equal(over.toDownstream[0], 'local 413 Payload Too Large request_payload_too_large');
  assert.deepEqual(over.toUpstream, []);
  const even = run(5);
  even.request(undefined, 'abc', 'de');
  assert.deepEqual(even.toUpstream, ['head GET /p', 'data abc', 'data de end']);
});

test('a route gives another limit, or none', () => {
  const more = run(2, [{ buffer: { maxRequestBytes: 5 } }]);
  more.request(undefined, 'abcde');
  assert.deepEqual(more.toUpstream, ['head GET /p', 'data abcde end']);
  const off = run(2, [{}]);
  off.request(undefined, 'abc', 'de');
  assert.deepEqual(off.toUpstream, ['head GET /p', 'data abc', 'data de end']);
  assert.equal(off.requestHead?.headers.has('content-length'), false);
});

test('a route’s configuration of another filter is not taken for its own', () => {
  const setup = { factory: BUFFER, config: { maxRequestBytes: 2 }, perRoute: [{}], routeType: 'another' };
  const it = new FilterRun([setup], { head: head({}, '/p') });
  it.request(undefined, 'abc');
  assert.equal(it.toDownstream[0], 'local 413 Payload Too Large request_payload_too_large');
});
