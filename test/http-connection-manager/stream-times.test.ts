import assert from 'node:assert/strict';
import { test } from 'node:test';
import { streamDuration } from '../../proxy/filters/network/http-connection-manager/stream-times.ts';
import { HeaderMap } from '../../proxy/http/headers.ts';
import { formatGrpcTimeout } from '../../proxy/policy/timeout.ts';
import { action } from '../route/build.ts';

function asking(timeout: string | undefined): HeaderMap {
  const headers = new HeaderMap();
  if (timeout !== undefined) headers.add('grpc-timeout', timeout);
  return headers;
}

const route = action({
  usesStreamDuration: true,
  maxStreamDurationMs: 900,
  grpcTimeoutHeaderMaxMs: 500,
  grpcTimeoutOffsetMs: 100,
});

test('a stream lasts as long as its caller asks, up to what the route lets it, less the offset', () => {
  assert.equal(streamDuration(route, asking('300m')), 200);
  assert.equal(streamDuration(route, asking('9S')), 400);
  assert.equal(streamDuration(route, asking(undefined)), 900);
  assert.equal(streamDuration(route, asking('soon')), 900);
  assert.equal(streamDuration({ ...route, grpcTimeoutHeaderMaxMs: 0 }, asking('9S')), 8900);
  assert.equal(streamDuration({ ...route, grpcTimeoutHeaderMaxMs: undefined }, asking('300m')), 900);
});

test('a deadline that is over is not one without limit', () => {
  for (const asked of ['100m', '50m', '0m']) {
    const duration = streamDuration(route, asking(asked));
    assert.ok(duration !== undefined && duration > 0 && duration < 1, asked);
    assert.equal(formatGrpcTimeout(duration), '0m');
  }
});

test('a route without max_stream_duration says nothing', () => {
  assert.equal(streamDuration({ ...route, usesStreamDuration: false }, asking('300m')), undefined);
  assert.equal(streamDuration({ ...route, maxStreamDurationMs: undefined }, asking(undefined)), undefined);
});
