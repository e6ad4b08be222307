/** Who the client is and what it may say, on heads alone. Outcomes compared with Envoy 1.40. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternalAddresses } from '../../proxy/filters/network/http-connection-manager/client-address.ts';
import { mutateRequest } from '../../proxy/filters/network/http-connection-manager/request-headers.ts';
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import type { HttpConnectionManager } from '../../xds-client/model/http-connection-manager.ts';
import { managerConfig } from './support.ts';

const INTERNAL = { internalAddressRanges: [{ address: '10.0.0.0', prefixLength: 8 }] };
const ID = '00000000-0000-4000-8000-000000000001';

function mutate(
  fields: readonly (readonly [string, string])[],
  config: Partial<HttpConnectionManager> = {},
  remoteAddress = '192.0.2.7',
): { readonly head: RequestHead; readonly client: string | undefined; readonly sent: { [name: string]: string } } {
  const headers = new HeaderMap();
  for (const [name, value] of fields) headers.add(name, value);
  const head: RequestHead = {
    method: 'GET',
    path: '/',
    authority: 'x.test',
    scheme: 'http',
    version: 11,
    protocol: undefined,
    headers,
  };
  const whole = managerConfig({ ...INTERNAL, ...config });
  const client = mutateRequest(
    head,
    { remoteAddress, localPort: 15006, encrypted: false, mutual: false, clientCert: undefined },
    {
      config: whole,
      internalAddresses: new InternalAddresses(whole.internalAddressRanges),
      nodeAddress: '192.0.2.1',
      requestId: () => ID,
    },
    [],
  );
  return { head, client, sent: Object.fromEntries(headers.names.map((name, at) => [name, headers.values[at] ?? ''])) };
}

const xff = (value: string, ...more: (readonly [string, string])[]) => [['x-forwarded-for', value] as const, ...more];

describe('the address of the client', () => {
  test('is the connection, where no hop names another', () => {
    assert.equal(mutate([]).client, undefined);
    assert.equal(mutate([], { useRemoteAddress: true }).client, undefined);
    assert.equal(mutate(xff('198.51.100.1'), { useRemoteAddress: true }).client, undefined);
  });

  test('is the last one of x-forwarded-for inside, and the one before trusted hops at the edge', () => {
    assert.equal(mutate(xff('203.0.113.9, 10.0.0.2')).client, '10.0.0.2');
    assert.equal(mutate(xff('203.0.113.9, 10.0.0.2'), { xffNumTrustedHops: 1 }).client, '203.0.113.9');
    const edge = { useRemoteAddress: true, xffNumTrustedHops: 1 };
    assert.equal(mutate(xff('203.0.113.9, 10.0.0.7'), edge).client, '10.0.0.7');
  });

  test('is taken from a bare address only', () => {
    for (const value of ['10.0.0.1:80', '[2001:db8::1]', 'nobody', '', '10.0.0.1,']) {
      const { client, sent } = mutate(xff(value));
      assert.equal(client, undefined, value);
      assert.equal(sent['x-envoy-internal'], undefined, value);
    }
  });

  test('counts every x-forwarded-for field, and they go on as one', () => {
    const { client, head, sent } = mutate([...xff('10.0.0.1'), ...xff('203.0.113.9')]);
    assert.equal(client, '203.0.113.9');
    assert.equal(sent['x-forwarded-for'], '10.0.0.1,203.0.113.9');
    assert.equal(head.headers.names.filter((name) => name === 'x-forwarded-for').length, 1);
    assert.equal(sent['x-envoy-internal'], undefined);
  });

  test('is appended at the edge, as the machine where the client is on loopback', () => {
    const edge = { useRemoteAddress: true };
    assert.equal(mutate(xff('10.0.0.1'), edge).sent['x-forwarded-for'], '10.0.0.1,192.0.2.7');
    assert.equal(mutate([], edge, '127.0.0.1').sent['x-forwarded-for'], '192.0.2.1');
    assert.equal(mutate([], { ...edge, skipXffAppend: true }).sent['x-forwarded-for'], undefined);
  });
});

test('a single internal address keeps what internal callers may say, others lose it', () => {
  const said = ['x-envoy-retry-on', '5xx'] as const;
  const inside = mutate(xff('10.0.0.1', said)).sent;
  assert.deepEqual([inside['x-envoy-internal'], inside['x-envoy-retry-on']], ['true', '5xx']);
  const outside = mutate(xff('10.0.0.1, 10.0.0.2', said, ['x-envoy-internal', 'true'])).sent;
  assert.deepEqual([outside['x-envoy-internal'], outside['x-envoy-retry-on']], [undefined, undefined]);
});

test('an overwritten scheme goes on as x-forwarded-proto, whatever the caller said', () => {
  const { head, sent } = mutate([['x-forwarded-proto', 'http']], { schemeOverwrite: 'https' });
  assert.equal(head.scheme, 'https');
  assert.equal(sent['x-forwarded-proto'], 'https');
});

test('an external id that is kept loses the decision to trace it', () => {
  const id = '11111111-2222-9333-8444-555555555555';
  const edge = { useRemoteAddress: true };
  assert.equal(mutate([['x-request-id', id]]).sent['x-request-id'], id);
  assert.equal(mutate([['x-request-id', id]], edge).sent['x-request-id'], ID);
  const kept = mutate([['x-request-id', id]], { ...edge, preserveExternalRequestId: true }).sent['x-request-id'];
  assert.equal(kept, '11111111-2222-4333-8444-555555555555');
});
