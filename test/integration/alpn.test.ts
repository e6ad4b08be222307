import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALLERS, type CHOICES, ENDPOINTS, endpoint, matrix, matrixBootstrap } from './alpn-matrix.ts';
import { Tollway } from './tollway.ts';

/** What has to come of a question; the proxy offers `h2` before `http/1.1` downstream. */
function expected(caller: keyof typeof CALLERS, choice: keyof typeof CHOICES, to: keyof typeof ENDPOINTS): string {
  const offer: readonly string[] | undefined = CALLERS[caller];
  const agreed = offer === undefined ? 'no ALPN' : offer.includes('h2') ? 'h2' : 'http/1.1';
  const same = agreed === 'h2' ? 'h2' : 'http/1.1';
  const offered = { auto: ['h2', 'http/1.1'], downstream: [same], 'explicit-h1': ['http/1.1'], 'explicit-h2': ['h2'] };
  const takes: readonly string[] | undefined = ENDPOINTS[to];
  // Without ALPN the endpoint speaks HTTP/1.1, and whoever is told to speak HTTP/2 learns it from the answer.
  if (takes === undefined)
    return `${agreed} ${offered[choice].includes('http/1.1') ? '200 HTTP/1.1 by no ALPN' : '502'}`;
  const common = takes.find((one) => offered[choice].includes(one));
  if (common === undefined) return `${agreed} 503`;
  return `${agreed} 200 HTTP/${common === 'h2' ? '2.0' : '1.1'} by ${common}`;
}

test('both sides speak what ALPN and the configuration agree on', async (t) => {
  const ports: { [name: string]: number } = {};
  for (const [name, alpn] of Object.entries(ENDPOINTS)) ports[name] = await endpoint(t, alpn);
  const proxy = await new Tollway(t, matrixBootstrap(ports)).live();
  const found = await matrix(await proxy.port('tls'));
  assert.equal(Object.keys(found).length, 64);
  const wrong = Object.entries(found).filter(([question, answer]) => {
    const [caller, choice, to] = question.split(/, | to /) as Parameters<typeof expected>;
    return answer !== expected(caller, choice, to);
  });
  assert.deepEqual(wrong, []);
});
