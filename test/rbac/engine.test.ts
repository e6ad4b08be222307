import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionInfo, PeerCertificate, TlsInfo } from '../../proxy/http/connection-info.ts';
import { RbacEngine, type RbacSubject } from '../../proxy/rbac/engine.ts';
import type { Json, StringMatch } from '../../xds-client/model/common.ts';
import type { ValueMatch } from '../../xds-client/model/metadata-match.ts';
import type { RbacPermission, RbacPrincipal, RbacRules } from '../../xds-client/model/rbac.ts';
import { connectionInfo } from '../network-filters/support.ts';

const NO_SANS: PeerCertificate['sans'] = { uris: [], dnsNames: [], ips: [], emails: [], others: [] };
const ANY = { kind: 'any' } as const;
const exact = (value: string): StringMatch => ({ kind: 'exact', value, ignoreCase: false });

function peer(changes: Partial<PeerCertificate>, validated = true): TlsInfo {
  return {
    version: 'TLSv1.3',
    cipher: '',
    alpn: undefined,
    serverName: undefined,
    sessionReused: false,
    peerValidated: validated,
    peer: {
      subject: 'CN=client',
      issuer: '',
      sans: NO_SANS,
      serial: '',
      fingerprint256: '',
      fingerprint1: '',
      notBefore: 0,
      notAfter: 0,
      pem: () => '',
      chain: () => [],
      issuedBy: () => undefined,
      ...changes,
    },
    localSans: NO_SANS,
    localSubject: undefined,
  };
}

function subject(connection: Partial<ConnectionInfo> = {}, metadata: { [namespace: string]: Json } = {}): RbacSubject {
  const info = connectionInfo(connection);
  return { connection: info, remoteAddress: info.remoteAddress, head: undefined, metadata: (name) => metadata[name] };
}

function judge(rules: Partial<RbacRules>, of: RbacSubject) {
  return new RbacEngine({ action: 'allow', policies: [], ...rules }).judge(of);
}

const one = (name: string, permission: RbacPermission, principal: RbacPrincipal = ANY) => ({
  name,
  permissions: [permission],
  principals: [principal],
});
const permits = (permission: RbacPermission, of = subject()) => judge({ policies: [one('p', permission)] }, of).allowed;
const knows = (principal: RbacPrincipal, of = subject()) => judge({ policies: [one('p', ANY, principal)] }, of).allowed;

test('allow lets in who matches, deny who does not, log everybody', () => {
  const hit = [one('p', ANY)];
  assert.deepEqual(judge({ policies: hit }, subject()), { allowed: true, policy: 'p' });
  assert.deepEqual(judge({ policies: [] }, subject()), { allowed: false, policy: undefined });
  assert.deepEqual(judge({ action: 'deny', policies: hit }, subject()), { allowed: false, policy: 'p' });
  assert.deepEqual(judge({ action: 'deny', policies: [] }, subject()), { allowed: true, policy: undefined });
  assert.deepEqual(judge({ action: 'log', policies: hit }, subject()), { allowed: true, policy: 'p' });
  assert.deepEqual(judge({ action: 'log', policies: [] }, subject()), { allowed: true, policy: undefined });
});

test('a policy needs a permission and a principal, and the first one that has both is named', () => {
  const never: RbacPermission = { kind: 'not', of: ANY };
  const policies = [one('a', never), one('b', ANY, { kind: 'not', of: ANY }), one('c', ANY), one('d', ANY)];
  assert.equal(judge({ policies }, subject()).policy, 'c');
});

test('and, or, not', () => {
  const no: RbacPermission = { kind: 'not', of: ANY };
  assert.equal(permits({ kind: 'and', of: [ANY, ANY] }), true);
  assert.equal(permits({ kind: 'and', of: [ANY, no] }), false);
  assert.equal(permits({ kind: 'or', of: [no, ANY] }), true);
  assert.equal(permits({ kind: 'or', of: [no, no] }), false);
});

test('destination: address, port, range of ports without its end, server name', () => {
  const range = { address: '10.0.1.0', prefixLength: 24 };
  assert.equal(permits({ kind: 'destination-ip', range }), true);
  assert.equal(permits({ kind: 'destination-ip', range }, subject({ localAddress: '10.0.2.1' })), false);
  assert.equal(permits({ kind: 'destination-ip', range }, subject({ localAddress: '::ffff:10.0.1.9' })), true);
  assert.equal(permits({ kind: 'destination-ip', range }, subject({ localAddress: '/run/socket' })), false);
  assert.equal(permits({ kind: 'destination-ip', range: { address: '::', prefixLength: 0 } }), false);
  assert.equal(permits({ kind: 'destination-port', from: 5432, to: 5433 }), true);
  assert.equal(permits({ kind: 'destination-port', from: 5000, to: 5432 }), false);
  const named: RbacPermission = { kind: 'server-name', match: exact('db.pay') };
  assert.equal(permits(named, subject({ requestedServerName: 'db.pay' })), true);
  assert.equal(permits(named), false);
});

test('source: of the socket, of the connection, of the request', () => {
  const from = {
    ...subject({ directRemoteAddress: '10.0.0.1', remoteAddress: '10.0.0.2' }),
    remoteAddress: '10.0.0.3',
  };
  for (const [of, last] of [
    ['direct', 1],
    ['connection', 2],
    ['remote', 3],
  ] as const) {
    for (const candidate of [1, 2, 3]) {
      const range = { address: `10.0.0.${candidate}`, prefixLength: 32 };
      assert.equal(knows({ kind: 'source-ip', of, range }, from), candidate === last, `${of} ${candidate}`);
    }
  }
});

test('a name is held against URI SANs, DNS SANs and the subject of a certificate that is trusted', () => {
  const spiffe = exact('spiffe://td/ns/pay/sa/client');
  const tls = peer({
    sans: { ...NO_SANS, uris: ['spiffe://td/ns/other/sa/x', spiffe.value], dnsNames: ['client.pay'] },
  });
  assert.equal(knows({ kind: 'authenticated', name: spiffe }, subject({ tls })), true);
  assert.equal(knows({ kind: 'authenticated', name: exact('client.pay') }, subject({ tls })), true);
  assert.equal(knows({ kind: 'authenticated', name: exact('CN=client') }, subject({ tls })), true);
  assert.equal(knows({ kind: 'authenticated', name: exact('spiffe://td/ns/pay/sa/other') }, subject({ tls })), false);
  assert.equal(
    knows(
      { kind: 'authenticated', name: { kind: 'prefix', value: 'spiffe://td/ns/pay/', ignoreCase: false } },
      subject({ tls }),
    ),
    true,
  );
  assert.equal(knows({ kind: 'authenticated' }, subject({ tls })), true);
});

test('nobody is authenticated in the clear, without a certificate, or with one that was not verified', () => {
  const name = exact('spiffe://td/ns/pay/sa/client');
  const unverified = peer({ sans: { ...NO_SANS, uris: [name.value] } }, false);
  const without = { ...peer({}), peer: undefined };
  for (const tls of [undefined, without, unverified]) {
    assert.equal(knows({ kind: 'authenticated' }, subject({ tls })), false);
    assert.equal(knows({ kind: 'authenticated', name }, subject({ tls })), false);
    assert.equal(
      knows({ kind: 'authenticated', name: { kind: 'prefix', value: '', ignoreCase: false } }, subject({ tls })),
      false,
    );
  }
});

test('headers and paths match no connection, also inverted', () => {
  const header = {
    name: 'x',
    match: { kind: 'present', present: false } as const,
    invert: false,
    treatMissingAsEmpty: false,
  };
  assert.equal(permits({ kind: 'header', match: header }), false);
  assert.equal(permits({ kind: 'path', match: { kind: 'prefix', value: '', ignoreCase: false } }), false);
});

test('metadata: every kind of value, and what is not there', () => {
  const metadata = { ns: { a: { b: 'x' }, n: 5, yes: true, nothing: null, list: ['u', 'v'] } };
  const matches = (path: string[], value: ValueMatch, invert = false, namespace = 'ns') =>
    permits({ kind: 'metadata', match: { namespace, path, value, invert } }, subject({}, metadata));
  assert.equal(matches(['a', 'b'], { kind: 'string', match: exact('x') }), true);
  assert.equal(matches(['a', 'b'], { kind: 'string', match: exact('y') }), false);
  assert.equal(matches(['a', 'b'], { kind: 'string', match: exact('y') }, true), true);
  assert.equal(matches(['n'], { kind: 'exact-number', value: 5 }), true);
  assert.equal(matches(['n'], { kind: 'range', start: 5, end: 6 }), true);
  assert.equal(matches(['n'], { kind: 'range', start: 4, end: 5 }), false);
  assert.equal(matches(['yes'], { kind: 'bool', value: true }), true);
  assert.equal(matches(['nothing'], { kind: 'null' }), true);
  assert.equal(matches(['absent'], { kind: 'null' }), false);
  assert.equal(matches(['absent'], { kind: 'present', present: true }), false);
  assert.equal(matches(['n'], { kind: 'present', present: true }), true);
  assert.equal(matches(['list'], { kind: 'list', one: { kind: 'string', match: exact('v') } }), true);
  assert.equal(matches(['list'], { kind: 'list', one: { kind: 'string', match: exact('w') } }), false);
  assert.equal(matches(['n'], { kind: 'or', of: [{ kind: 'null' }, { kind: 'exact-number', value: 5 }] }), true);
  assert.equal(matches(['toString'], { kind: 'present', present: true }), false);
  assert.equal(matches(['a'], { kind: 'present', present: true }, false, 'other'), false);
});
