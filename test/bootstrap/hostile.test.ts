/** Bootstraps that nobody means: refused in time, with a short message that says where, and never taken for another one. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { hasDuplicateKeys } from '../../proxy/bootstrap/duplicate-keys.ts';
import { loadBootstrap } from '../../proxy/bootstrap/load.ts';
import { decodeChecks } from '../../proxy/decode-checks.ts';
import { ProxyError } from '../../proxy/errors.ts';
import { decodeBootstrap } from '../../xds-client/decode/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'tollway-hostile-'));
after(() => rmSync(folder, { recursive: true }));
const CHECKS = decodeChecks(() => true);
const PATIENCE_MS = 10_000;

/** The reason for refusing a file; `undefined` when it was taken. */
function refusal(name: string, content: string | Buffer): string | undefined {
  const configPath = join(folder, name);
  writeFileSync(configPath, content);
  const start = performance.now();
  try {
    loadBootstrap({ configPath, configYaml: undefined }, (message) => decodeBootstrap(message, CHECKS));
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ProxyError, String(error));
    assert.equal(error.code, 'bootstrap-invalid');
    assert.ok(error.message.length < 60_000, `a message of ${error.message.length} characters`);
    return error.message.replaceAll(`${folder}/`, '');
  } finally {
    const took = performance.now() - start;
    assert.ok(took < PATIENCE_MS, `${name} took ${took} ms`);
  }
}

test('brackets, dashes and indentation without end are refused where they become too many', () => {
  const DEEP = /:\d+:\d+: is nested deeper than 200$/;
  assert.match(refusal('a.yaml', '['.repeat(1e7)) ?? '', DEEP);
  assert.match(refusal('a.json', `{"a":${'['.repeat(1e7)}`) ?? '', DEEP);
  assert.match(refusal('b.json', '{"a":'.repeat(1e6)) ?? '', DEEP);
  assert.match(refusal('c.json', `{"node":{"metadata":${'{"a":'.repeat(3_000)}1${'}'.repeat(3_002)}`) ?? '', DEEP);
  for (const mark of ['- ', '? ', '{a: ']) assert.match(refusal('d.yaml', mark.repeat(1e5)) ?? '', DEEP);
  const steps = Array.from({ length: 3_000 }, (_, level) => `${' '.repeat(level)}a:`).join('\n');
  assert.match(refusal('e.yaml', steps) ?? '', DEEP);
});

test('marks without meaning are refused shortly', () => {
  for (const text of [
    '!'.repeat(1e5),
    '&a '.repeat(1e4),
    '"'.repeat(1e5),
    '*a '.repeat(1e4),
    '%'.repeat(1e5),
    '|'.repeat(1e5),
  ]) {
    assert.match(refusal('a.yaml', text) ?? '', /a\.yaml:1:/);
  }
  assert.match(refusal('tabs.yaml', 'node:\n\tid: a\n') ?? '', /tabs\.yaml:2:1: Tabs are not allowed/);
  assert.match(refusal('two.yaml', 'node: {id: a}\n---\nnode: {id: b}\n') ?? '', /two\.yaml:2:1: .*multiple documents/);
});

test('what is no text at all is refused, whatever it is called', () => {
  const bytes = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7_919) & 255));
  for (const name of ['a.yaml', 'a.json', 'a.pb', 'a']) assert.ok(refusal(name, bytes));
  for (const text of ['\0\0', '5', '[]', '"node"']) {
    assert.match(refusal('a.json', text) ?? '', /the bootstrap must be an object/);
  }
});

test('thousands of unknown fields are told of in a hundred lines', () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `k${i}`);
  const yaml = refusal('a.yaml', names.map((name) => `${name}: 1`).join('\n')) ?? '';
  const json = refusal('a.json', JSON.stringify(Object.fromEntries(names.map((name) => [name, 1])))) ?? '';
  for (const message of [yaml, json]) {
    assert.equal(message.split('\n').length, 101);
    assert.match(message, /and 19900 more$/);
  }
});

test('a key that stands twice is refused by its line, in YAML and in JSON', () => {
  const json = '{\n "node": {"id": "a"},\n "node": {"cluster": "b"}\n}';
  for (const name of ['a.json', 'a.yaml'])
    assert.match(refusal(name, json) ?? '', /:3:2: Map keys must be unique, "node" is not/);
  assert.match(refusal('b.json', '{"node": {"id": "a", "\\u0069d": "b"}}') ?? '', /Map keys must be unique/);
  assert.equal(
    refusal('c.json', '{"node": {"id": "{\\"id\\":", "cluster": "id", "locality": {"zone": "id"}}}'),
    undefined,
  );
});

test('keys are found twice where they are, and nowhere else', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      // What JSON.parse and stringify have made has each key once.
      assert.equal(hasDuplicateKeys(JSON.stringify(JSON.parse(text))), false);
    }),
    { numRuns: 300, seed: 19 },
  );
  fc.assert(
    fc.property(fc.string(), fc.json(), (key, value) => {
      const name = JSON.stringify(key);
      assert.equal(hasDuplicateKeys(`{${name} : ${value},"":[{${name}:1}], ${name}:${value}}`), true);
    }),
    { numRuns: 300, seed: 23 },
  );
});

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const leaf = ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/payment', ttlMs: 600_000 });

/** A bootstrap whose one cluster shows `certificate` and trusts `roots`. */
function withTls(certificate: object, roots: object): string {
  const typed_config = {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    common_tls_context: { tls_certificates: [certificate], validation_context: { trusted_ca: roots } },
  };
  const cluster = { name: 'c', type: 'STATIC', transport_socket: { name: 'tls', typed_config } };
  return JSON.stringify({ static_resources: { clusters: [cluster] } });
}

test('PEM that does not parse, or is larger than any, is refused at its place', () => {
  const pair = { certificate_chain: { inline_string: leaf.chain }, private_key: { inline_string: leaf.key } };
  const roots = { inline_string: ca.rootPem };
  assert.equal(refusal('good.json', withTls(pair, roots)), undefined);
  const cut = leaf.chain.slice(0, 300);
  for (const inline_string of [
    '',
    cut,
    `${cut}\n-----END CERTIFICATE-----\n`,
    leaf.key,
    '-----BEGIN CERTIFICATE-----\n'.repeat(1e4),
  ]) {
    assert.match(
      refusal('a.json', withTls({ ...pair, certificate_chain: { inline_string } }, roots)) ?? '',
      /tls_certificates/,
    );
    assert.match(refusal('b.json', withTls(pair, { inline_string: inline_string || 'x' })) ?? '', /validation_context/);
  }
  const big = join(folder, 'big.pem');
  writeFileSync(big, ca.rootPem.repeat(2_000));
  assert.match(refusal('c.json', withTls(pair, { filename: big })) ?? '', /"big\.pem" has more than 1048576 bytes/);
  assert.match(refusal('d.json', withTls(pair, { filename: folder })) ?? '', /is not a file/);
  assert.match(refusal('e.json', withTls(pair, { filename: join(folder, 'none') })) ?? '', /ENOENT/);
});

test('any bytes are an error or a bootstrap', () => {
  fc.assert(
    fc.property(fc.constantFrom('x.yaml', 'x.json', 'x.pb'), fc.uint8Array({ maxLength: 300 }), (name, bytes) => {
      refusal(name, Buffer.from(bytes));
    }),
    { numRuns: 300, seed: 29 },
  );
  const words = fc.constantFrom(
    'node',
    ':',
    ' ',
    '\n',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '&a',
    '*a',
    '|',
    '>',
    '#',
    '!',
    '%',
    '<<',
    ',',
    '? ',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 40 }), (parts) => {
      refusal('y.yaml', parts.join(''));
    }),
    { numRuns: 500, seed: 31 },
  );
});
