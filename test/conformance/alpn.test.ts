/** Every pairing of what callers offer, clusters choose and endpoints take by ALPN, through Envoy and Tollway. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENDPOINTS, endpoint, matrix, matrixBootstrap } from '../integration/alpn-matrix.ts';
import { findEnvoy, startProxy } from './harness/proxies.ts';

const skip = findEnvoy() === undefined ? 'Envoy is not installed: npm run peers' : false;

test('the same protocols are agreed on as with Envoy', { skip, timeout: 60_000 }, async (t) => {
  const ports: { [name: string]: number } = {};
  for (const [name, alpn] of Object.entries(ENDPOINTS)) ports[name] = await endpoint(t, alpn);
  const bootstrap = JSON.stringify(matrixBootstrap(ports));
  const found = [];
  for (const kind of ['envoy', 'tollway'] as const) {
    const proxy = await startProxy(kind, bootstrap, ['tls']);
    t.after(() => proxy.stop());
    found.push(await matrix(proxy.ports.get('tls') ?? 0));
  }
  assert.deepEqual(found[1], found[0]);
});
