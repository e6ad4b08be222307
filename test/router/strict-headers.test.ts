/** Which values of Envoy's request headers parse. Compared with Envoy 1.40. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { invalidHeader } from '../../proxy/filters/http/router/strict-headers.ts';
import { HeaderMap } from '../../proxy/http/headers.ts';

const TIMEOUT = 'x-envoy-upstream-rq-timeout-ms';
const ON = 'x-envoy-retry-on';
const GRPC_ON = 'x-envoy-retry-grpc-on';

for (const [name, value, valid] of [
  [TIMEOUT, '5000', true],
  [TIMEOUT, '0', true],
  [TIMEOUT, '-1', false],
  [TIMEOUT, '5.5', false],
  [TIMEOUT, '', false],
  [ON, '5xx, reset', true],
  [ON, '5xx,unavailable', false],
  [ON, '409', false],
  [GRPC_ON, 'cancelled,unavailable', true],
  [GRPC_ON, '5xx', false],
] as const) {
  test(`${name}: "${value}" ${valid ? 'parses' : 'does not'}`, () => {
    const headers = new HeaderMap();
    headers.add(name, value);
    assert.equal(invalidHeader(headers, [TIMEOUT, ON, GRPC_ON]), valid ? undefined : name);
    assert.equal(invalidHeader(headers, []), undefined);
  });
}

test('a header that is not there is not invalid', () => {
  assert.equal(invalidHeader(new HeaderMap(), [TIMEOUT, ON]), undefined);
});
