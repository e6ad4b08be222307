import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { maskSecrets } from '../../proxy/observe/mask.ts';

const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl';

test('masks card numbers, however they are written', () => {
  const cases: [string, string][] = [
    ['4111111111111111', '[card]'],
    ['pay 4111 1111 1111 1111 now', 'pay [card] now'],
    ['/cards/5500-0000-0000-0004/holds', '/cards/[card]/holds'],
    ['/pay?pan=4111%201111%201111%201111&x=1', '/pay?pan=[masked]&x=1'],
    ['q=4111+1111+1111+1111', 'q=[card]'],
    ['378282246310005,6011000990139424', '[card],[card]'],
    ['2026-11-30 5555 5555 5555 4444', '2026-11-30 [card]'],
    // The date and half of the card are a card too: what could be one is not shown.
    ['2026-11-21 4111 1111 1111 1111', '[card]'],
    ['4111111111111111 2026-11-21', '[card] 2026-11-21'],
    ['6304000000000000', '[card]'],
  ];
  for (const [text, masked] of cases) assert.equal(maskSecrets(text), masked, text);
});

test('leaves numbers that are no card', () => {
  for (const text of [
    '4111111111111112',
    'order 123456789012',
    '41111111111111111111',
    '10.0.0.1:15006 -> 10.0.0.2:8080',
    '2026-11-21T12:00:00.123456Z 200 - 12 34 5',
  ]) {
    assert.equal(maskSecrets(text), text);
  }
});

test('masks tokens, credentials and cookies where they are named', () => {
  const cases: [string, string][] = [
    [jwt, '[token]'],
    [`/callback/${jwt}/done`, '/callback/[token]/done'],
    [`sent Bearer abcdef123456 to x`, 'sent Bearer [token] to x'],
    ['Basic dXNlcjpwYXNz', 'Basic [token]'],
    [`authorization: Bearer ${jwt}\nhost: a`, 'authorization: [token]\nhost: a'],
    ['{"Authorization":"Digest x y"}', '{"Authorization":"[token]"}'],
    ['cookie: a=b; c=d\r\nx: y', 'cookie: [cookie]\r\nx: y'],
    ['{"set-cookie":"sid=1; Path=/"}', '{"set-cookie":"[cookie]"}'],
    ['/a?access_token=zzz&x=1', '/a?access_token=[masked]&x=1'],
    ['/a?token=zzz', '/a?token=[masked]'],
    ['password=hunter2 next', 'password=[masked] next'],
    ['api_key: k-1', 'api_key: [masked]'],
    ['/a?cvv=123', '/a?cvv=[masked]'],
    ['bearer%20abcdefgh12', 'bearer%20[token]'],
    ['-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----\n', '[private key]\n'],
  ];
  for (const [text, masked] of cases) assert.equal(maskSecrets(text), masked, text);
});

test('leaves ordinary texts as they are', () => {
  for (const text of [
    '',
    '/pay/settlement?amount=12.50&currency=EUR',
    'cluster "settlement": no endpoint is healthy (3 ejected)',
    'token bucket of 10 is empty',
    'spiffe://cluster.local/ns/pay/sa/payment',
    'x-request-id: 8f14e45f-ceea-467f-a0e6-bd2e3f5a1b2c',
    'outbound|8080||settlement.pay.svc.cluster.local',
    'the company spans 3 zones: a, b, c',
  ]) {
    assert.equal(maskSecrets(text), text);
  }
});

test('hides every card number in any text around it', () => {
  const around = fc.string({ unit: fc.constantFrom('a', ' ', '/', '=', ':', 'é', '.', '"', '&'), maxLength: 20 });
  const card = fc.constantFrom('4111111111111111', '5555555555554444', '378282246310005', '4111 1111 1111 1111');
  fc.assert(
    fc.property(around, card, around, (before, number, after) => {
      assert.ok(!maskSecrets(before + number + after).includes(number));
    }),
    { seed: 5, numRuns: 500 },
  );
});

test('takes time in proportion to the text, whatever the text', () => {
  const hostile = [
    '4'.repeat(50_000),
    '4 '.repeat(25_000),
    'bearer+'.repeat(8_000),
    'cookie:'.repeat(8_000),
    'eyJ'.repeat(20_000),
    'token='.repeat(9_000),
    '-----BEGIN PRIVATE KEY-----'.repeat(2_000),
  ];
  for (const text of hostile) {
    const start = process.cpuUsage().user;
    maskSecrets(text);
    const ms = (process.cpuUsage().user - start) / 1000;
    assert.ok(ms < 500, `${text.slice(0, 12)}: ${ms} ms`);
  }
});
