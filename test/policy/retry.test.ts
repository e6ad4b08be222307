import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import type { ResetReason } from '../../proxy/http/stream.ts';
import type { AttemptClass } from '../../proxy/http/stream-info.ts';
import { classOfReset, classOfResponse } from '../../proxy/policy/attempt-class.ts';
import { allowsIdempotencyKey, hasIdempotencyKey, isIdempotent } from '../../proxy/policy/idempotency.ts';
import { mayRepeat, resetCondition, responseCondition } from '../../proxy/policy/retry.ts';
import { type CompiledRetry, compileRetry, RetryOn, retryForRequest } from '../../proxy/policy/retry-conditions.ts';
import { retryPolicy } from '../http-connection-manager/support.ts';

function fields(...pairs: readonly (readonly [string, string])[]): HeaderMap {
  const headers = new HeaderMap();
  for (const [name, value] of pairs) headers.add(name, value);
  return headers;
}

function compiled(on: readonly string[], changes: Parameters<typeof retryPolicy>[1] = {}): CompiledRetry {
  return compileRetry(retryPolicy(on, changes), {
    ofResponse: (matches) => (headers) => matches.some(({ name }) => headers.has(name)),
    ofRequest: (matches) => (head) =>
      matches.some(({ name }) => (name === ':method' ? head.method === 'GET' : head.headers.has(name))),
  });
}

function request(headers: HeaderMap = new HeaderMap(), method = 'GET'): RequestHead {
  return { method, path: '/', authority: 'a.test', scheme: 'http', version: 11, protocol: undefined, headers };
}

const repeatable = (method: string, key = false, keyAllowed = false) => ({
  method,
  idempotent: isIdempotent(method),
  idempotencyKey: key,
  keyAllowed,
});

test('a POST whose outcome is unknown is never repeated without a key that the route allows', () => {
  const methods = ['POST', 'PATCH', 'CONNECT', 'post', 'LOCK'];
  const classes: AttemptClass[] = ['unknown', 'answered'];
  for (const method of methods) {
    for (const known of classes) {
      assert.equal(mayRepeat(known, repeatable(method)).retry, false);
      assert.equal(mayRepeat(known, repeatable(method, true, false)).retry, false);
      assert.equal(mayRepeat(known, repeatable(method, false, true)).retry, false);
      assert.equal(mayRepeat(known, repeatable(method, true, true)).retry, true);
    }
  }
});

test('what was not sent or not processed may be repeated, whatever it is', () => {
  for (const method of ['POST', 'GET', 'PATCH']) {
    assert.equal(mayRepeat('not-sent', repeatable(method)).retry, true);
    assert.equal(mayRepeat('unprocessed', repeatable(method)).retry, true);
  }
});

test('safe and idempotent methods may be repeated', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
    assert.equal(mayRepeat('unknown', repeatable(method)).retry, true);
  }
});

test('the reason names the method and what is missing', () => {
  assert.equal(
    mayRepeat('unknown', repeatable('POST')).reason,
    'its outcome is unknown, POST is not idempotent and it has no idempotency key',
  );
  assert.match(mayRepeat('answered', repeatable('POST', true)).reason, /the route does not allow its idempotency key/);
});

test('an attempt of which a byte was sent is never called not-sent', () => {
  const reasons: ResetReason[] = [
    'remote-reset',
    'remote-refused',
    'local-reset',
    'local-refused',
    'connection-termination',
    'connection-failure',
    'connection-timeout',
    'protocol-error',
    'overflow',
  ];
  fc.assert(
    fc.property(fc.constantFrom(...reasons), (reason) => {
      assert.equal(classOfReset(reason, false), 'not-sent');
      assert.notEqual(classOfReset(reason, true), 'not-sent');
    }),
  );
  assert.equal(classOfReset('connection-termination', true), 'unknown');
  assert.equal(classOfReset('remote-refused', true), 'unprocessed');
});

test('the unprocessed header counts only from an endpoint of the mesh', () => {
  const head = { status: 503, headers: fields(['x-tollway-unprocessed', 'true']) };
  assert.equal(classOfResponse(head, true), 'unprocessed');
  assert.equal(classOfResponse(head, false), 'answered');
  assert.equal(classOfResponse({ status: 503, headers: fields() }, true), 'answered');
});

test('an idempotency key must hold something, and the route must say so', () => {
  assert.equal(hasIdempotencyKey(fields(['idempotency-key', '"8e03978e"'])), true);
  assert.equal(hasIdempotencyKey(fields(['idempotency-key', ''])), false);
  assert.equal(hasIdempotencyKey(fields(['idempotency-key', '""'])), false);
  assert.equal(allowsIdempotencyKey({ 'tollway.retry': { idempotency_key: true } }), true);
  assert.equal(allowsIdempotencyKey({ 'tollway.retry': { idempotency_key: 'true' } }), false);
  assert.equal(allowsIdempotencyKey({}), false);
});

const none = fields();
for (const [on, status, headers, wanted] of [
  ['5xx', 500, none, RetryOn.ServerError],
  ['5xx', 499, none, 0],
  ['gateway-error', 502, none, RetryOn.GatewayError],
  ['gateway-error', 500, none, 0],
  ['retriable-4xx', 409, none, RetryOn.Retriable4xx],
  ['retriable-4xx', 404, none, 0],
  ['5xx', 503, fields(['x-envoy-overloaded', 'true']), 0],
  ['5xx', 503, fields(['x-envoy-ratelimited', 'true']), 0],
  ['envoy-ratelimited', 429, fields(['x-envoy-ratelimited', 'true']), RetryOn.EnvoyRateLimited],
  ['unavailable', 200, fields(['grpc-status', '14']), RetryOn.GrpcUnavailable],
  ['unavailable', 200, fields(['grpc-status', '13']), 0],
  ['internal', 200, fields(['grpc-status', '13']), RetryOn.GrpcInternal],
  ['cancelled', 200, fields(['grpc-status', '1']), RetryOn.GrpcCancelled],
  ['deadline-exceeded', 200, fields(['grpc-status', '4']), RetryOn.GrpcDeadlineExceeded],
  ['resource-exhausted', 200, fields(['grpc-status', '8']), RetryOn.GrpcResourceExhausted],
  ['reset', 503, none, 0],
] as const) {
  test(`${on} and a response ${status} with ${[...headers.names].join() || 'nothing more'}`, () => {
    assert.equal(responseCondition(compiled([on]), status, headers), wanted);
  });
}

test('status codes and response headers of the policy are conditions', () => {
  const codes = compiled(['retriable-status-codes'], { retriableStatusCodes: [429] });
  assert.equal(responseCondition(codes, 429, none), RetryOn.RetriableStatusCodes);
  assert.equal(responseCondition(codes, 430, none), 0);
  assert.equal(responseCondition(compiled(['503']), 503, none), RetryOn.RetriableStatusCodes);
});

for (const [on, reason, started, wanted] of [
  ['connect-failure', 'connection-failure', false, RetryOn.ConnectFailure],
  ['connect-failure', 'connection-timeout', false, RetryOn.ConnectFailure],
  ['connect-failure', 'connection-termination', true, 0],
  ['refused-stream', 'remote-refused', true, RetryOn.RefusedStream],
  ['reset', 'connection-termination', true, RetryOn.Reset],
  ['reset-before-request', 'connection-termination', false, RetryOn.ResetBeforeRequest],
  ['reset-before-request', 'connection-termination', true, 0],
  ['5xx', 'remote-reset', true, RetryOn.ServerError],
  ['gateway-error', 'remote-reset', true, RetryOn.GatewayError],
  ['reset', 'overflow', false, 0],
  ['5xx', 'overflow', false, 0],
] as const) {
  test(`${on} and a reset for ${reason}, ${started ? 'after' : 'before'} the request was begun`, () => {
    assert.equal(resetCondition(compiled([on]).on, reason, started), wanted);
  });
}

test('a request without retry headers uses the route policy itself', () => {
  const policy = compiled(['5xx']);
  assert.equal(retryForRequest(policy, request(fields(['x-foo', '1']))), policy);
  assert.equal(retryForRequest(undefined, request(none)), undefined);
});

test('the request headers add conditions, count and codes, and are taken off', () => {
  const headers = fields(
    ['x-envoy-retry-on', 'gateway-error, nonsense'],
    ['x-envoy-max-retries', '7'],
    ['x-envoy-retriable-status-codes', '418,nonsense'],
    ['x-envoy-retriable-header-names', 'X-Again'],
  );
  const policy = retryForRequest(compiled(['reset']), request(headers));
  assert.equal(policy?.on, RetryOn.Reset | RetryOn.GatewayError);
  assert.equal(policy?.numRetries, 7);
  assert.equal(policy?.statusCodes.has(418), true);
  assert.equal(policy?.retriableHeaders?.(fields(['x-again', ''])), true);
  assert.equal(headers.size, 0);
});

test('each of the two headers has the words of its own protocol', () => {
  const words = (name: string) => retryForRequest(undefined, request(fields([name, '5xx,unavailable'])))?.on;
  assert.equal(words('x-envoy-retry-on'), RetryOn.ServerError);
  assert.equal(words('x-envoy-retry-grpc-on'), RetryOn.GrpcUnavailable);
});

test('a request that does not carry what the policy asks for is not retried', () => {
  const match = {
    name: 'x-idempotent',
    match: { kind: 'present', present: true },
    invert: false,
    treatMissingAsEmpty: false,
  } as const;
  const policy = compiled(['5xx'], { retriableRequestHeaders: [match] });
  assert.equal(retryForRequest(policy, request()), undefined);
  assert.equal(retryForRequest(policy, request(fields(['x-idempotent', '1']))), policy);
});

test('a pseudo header may be what the policy asks for', () => {
  const match = {
    name: ':method',
    match: { kind: 'present', present: true },
    invert: false,
    treatMissingAsEmpty: false,
  } as const;
  const policy = compiled(['5xx'], { retriableRequestHeaders: [match] });
  assert.equal(retryForRequest(policy, request()), policy);
  assert.equal(retryForRequest(policy, request(undefined, 'PUT')), undefined);
});
