/** Faults with clients and an upstream at real sockets: who goes away while a request is held, and memory that stays bounded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT } from '../../proxy/filters/http/fault/fault.ts';
import { ROUTER_TYPE_URL } from '../../proxy/filters/http/router/router.ts';
import { Client, get, post, response, send, start } from '../http-connection-manager/support.ts';
import { until } from '../upstream/support.ts';
import { filterConfig } from './decoding.ts';

const ALWAYS = { numerator: 100 };

function proxyWith(fault: { readonly [field: string]: unknown }, body = 'ok') {
  const { name, typeUrl } = FAULT;
  const router = { name: 'router', typeUrl: ROUTER_TYPE_URL, config: {} };
  return start(
    {
      filters: [FAULT],
      manager: {
        httpFilters: [
          { name, disabled: false, extension: { name, typeUrl, config: filterConfig(typeUrl, fault) } },
          { name: 'router', disabled: false, extension: router },
        ],
      },
    },
    () => response(200, body),
  );
}

test('a client that goes away while its request is held leaves no fault behind', async () => {
  const { proxy, upstream } = await proxyWith({ delay: { fixed_delay: '30s', percentage: ALWAYS } });
  const client = new Client(proxy.port);
  client.write(post('/', 'money'));
  await until(() => proxy.stat('http.in.fault.active_faults') === 1, 'the request is held');
  client.close();
  await until(() => proxy.stat('http.in.fault.active_faults') === 0, 'the fault is over');
  assert.equal(upstream.requests.length, 0);
  assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
});

test('a held request goes on as it came', async () => {
  const { proxy, upstream } = await proxyWith({ delay: { fixed_delay: '0.03s', percentage: ALWAYS } });
  const startedAt = performance.now();
  const reply = await send(proxy.port, post('/', 'money'));
  assert.equal(reply.status, 200);
  assert.ok(performance.now() - startedAt >= 29);
  assert.match(upstream.requests[0] ?? '', /money$/);
});

test('a response that is let out slowly arrives whole, more than may wait at once too', async () => {
  const body = 'x'.repeat(3 << 20);
  const { proxy } = await proxyWith(
    { response_rate_limit: { fixed_limit: { limit_kbps: 20_000 }, percentage: ALWAYS } },
    body,
  );
  const reply = await send(proxy.port, get('/'));
  assert.equal(reply.body, body);
  assert.equal(proxy.stat('http.in.fault.response_rl_injected'), 1);
});
