/** Which requests may become another protocol: the route's word counts before the connection manager's. As Envoy 1.40. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { upgradeAllowed, upgradeOf } from '../../proxy/filters/network/http-connection-manager/request-checks.ts';
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import { action } from '../route/build.ts';
import { managerConfig } from './support.ts';

const head = (changes: Partial<RequestHead>): RequestHead => ({
  method: 'GET',
  path: '/',
  authority: 'a.test',
  scheme: 'http',
  version: 11,
  protocol: undefined,
  headers: new HeaderMap(),
  ...changes,
});
const manager = (enabled: boolean) => managerConfig({ upgrades: [{ type: 'websocket', enabled, filters: [] }] });
const route = (enabled: boolean) => action({ upgrades: [{ type: 'websocket', enabled, connect: undefined }] });

test('CONNECT is an upgrade too, and an extended one is what it names', () => {
  assert.equal(upgradeOf(head({})), undefined);
  assert.equal(upgradeOf(head({ protocol: 'websocket' })), 'websocket');
  assert.equal(upgradeOf(head({ method: 'CONNECT' })), 'connect');
  assert.equal(upgradeOf(head({ method: 'CONNECT', protocol: 'websocket' })), 'websocket');
});

for (const [own, general, allowed] of [
  [undefined, undefined, false],
  [undefined, false, false],
  [undefined, true, true],
  [true, undefined, true],
  [true, false, true],
  [false, true, false],
] as const) {
  test(`an upgrade is ${allowed ? 'let' : 'not let'} through: route ${own}, connection manager ${general}`, () => {
    const config = general === undefined ? managerConfig() : manager(general);
    const given = own === undefined ? action({}) : route(own);
    assert.equal(upgradeAllowed('WebSocket', given, config), allowed);
    assert.equal(upgradeAllowed('other', given, config), false);
  });
}
