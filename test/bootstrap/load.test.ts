import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeMessage, toJson } from '../../protos/index.ts';
import { type BootstrapSource, loadBootstrap } from '../../proxy/bootstrap/load.ts';
import { ProxyError } from '../../proxy/errors.ts';
import type { FieldError } from '../../xds-client/decode/context.ts';

const folder = mkdtempSync(join(tmpdir(), 'tollway-bootstrap-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function load(source: Partial<BootstrapSource>, errors: readonly FieldError[] = []) {
  const from = { configPath: undefined, configYaml: undefined, ...source };
  return loadBootstrap(from, () =>
    errors.length === 0 ? { ok: true, value: 'model', unsupported: [] } : { ok: false, errors, unsupported: [] },
  );
}

function json(source: Partial<BootstrapSource>): unknown {
  return toJson('envoy.config.bootstrap.v3.Bootstrap', load(source).message());
}

function refused(source: Partial<BootstrapSource>, errors: readonly FieldError[] = []): string {
  try {
    load(source, errors);
  } catch (error) {
    assert.ok(error instanceof ProxyError, String(error));
    assert.equal(error.code, 'bootstrap-invalid');
    return error.message.replaceAll(`${folder}/`, '');
  }
  assert.fail('was accepted');
}

test('reads YAML, JSON and protobuf alike', () => {
  const node = { id: 'a', cluster: 'c' };
  const yaml = file('a.yaml', 'node:\n  id: a\n  cluster: c\n');
  const expected = { node };
  assert.deepEqual(json({ configPath: yaml }), expected);
  assert.deepEqual(json({ configPath: file('a.json', JSON.stringify({ node })) }), expected);
  assert.deepEqual(json({ configPath: file('no-extension', JSON.stringify({ node })) }), expected);
  const bytes = encodeMessage('envoy.config.bootstrap.v3.Bootstrap', { node });
  assert.deepEqual(json({ configPath: file('a.pb', bytes) }), expected);
});

test('merges the inline YAML over the file, and flags over both', () => {
  const configPath = file('base.yaml', 'node: {id: a, cluster: c}\nstatic_resources: {clusters: [{name: one}]}\n');
  const configYaml = 'node: {id: b}\nstatic_resources: {clusters: [{name: two}]}';
  assert.deepEqual(json({ configPath, configYaml }), {
    node: { id: 'b', cluster: 'c' },
    static_resources: { clusters: [{ name: 'one' }, { name: 'two' }] },
  });
  assert.deepEqual(json({ configPath, serviceNode: 'n', serviceCluster: 'k', serviceZone: 'z' }), {
    node: { id: 'n', cluster: 'k', locality: { zone: 'z' } },
    static_resources: { clusters: [{ name: 'one' }] },
  });
});

test('names every problem with its line, the inline YAML included', () => {
  const configPath = file(
    'bad.yaml',
    [
      'admin:',
      '  adress: x',
      'static_resources:',
      '  clusters:',
      '  - name: a',
      '    connect_timeout: 5',
      '    transport_socket:',
      '      typed_config:',
      '        "@type": type.googleapis.com/envoy.foo.Bar',
    ].join('\n'),
  );
  assert.deepEqual(refused({ configPath, configYaml: '\nnode: {id: [1]}' }).split('\n'), [
    "error initializing configuration 'bad.yaml': bad.yaml:2:3: admin.adress is not a field of envoy.config.bootstrap.v3.Admin",
    'bad.yaml:6:5: static_resources.clusters[0].connect_timeout must be a duration such as "1.5s", not 5',
    'bad.yaml:9:9: static_resources.clusters[0].transport_socket.typed_config.@type is no type that is known here: "type.googleapis.com/envoy.foo.Bar"',
    '--config-yaml:2:8: node.id must be a string, not a list',
  ]);
});

test('an extension that no proto describes is refused by name where it is known', () => {
  const type = 'type.googleapis.com/envoy.extensions.filters.http.golang.v3alpha.Config';
  const configYaml = `static_resources: {clusters: [{transport_socket: {typed_config: {"@type": ${type}}}}]}`;
  assert.match(
    refused({ configYaml }),
    /@type is no type that is known here: .*: Go plugins are not run, .*header_mutation/,
  );
});

test("places the decoder's errors, in the part that was merged over too", () => {
  const configPath = file('base2.yaml', 'staticResources:\n  clusters:\n  - name: one\n    lbPolicy: RANDOM\n');
  const configYaml = 'static_resources:\n  clusters:\n  - name: two\n';
  const message = refused({ configPath, configYaml }, [
    { path: 'static_resources.clusters[0].lb_policy', message: 'is not supported' },
    { path: 'static_resources.clusters[1].load_assignment', message: 'is missing' },
  ]);
  assert.deepEqual(message.split('\n'), [
    "error initializing configuration 'base2.yaml': base2.yaml:4:5: static_resources.clusters[0].lb_policy is not supported",
    '--config-yaml:3:5: static_resources.clusters[1].load_assignment is missing',
  ]);
});

test('does not repeat through the decoder what did not parse', () => {
  const message = refused({ configYaml: 'admin: {address: 5}' }, [{ path: 'admin.address', message: 'is missing' }]);
  assert.equal(message.split('\n').length, 1);
});

test('lets unknown fields pass as warnings when told to', () => {
  const { warnings } = load({ configYaml: 'admin: {foo: 1}', allowUnknownFields: true });
  assert.deepEqual(
    warnings.map(({ path, place }) => [path, place?.line]),
    [['admin.foo', 1]],
  );
});

test('keeps the rest of an extension whose unknown field was let pass', () => {
  const type = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';
  const yaml = `bootstrap_extensions: [{typed_config: {"@type": ${type}, suppress_envoy_headers: true, x: 1}}]`;
  assert.deepEqual(json({ configYaml: yaml, allowUnknownFields: true }), {
    node: {},
    bootstrap_extensions: [{ typed_config: { '@type': type, suppress_envoy_headers: true } }],
  });
});

test('asks for the names of the node where a control plane is to be asked', () => {
  const configYaml = 'dynamic_resources: {ads_config: {api_type: GRPC}}';
  assert.match(refused({ configYaml, serviceNode: 'n' }), /ads: node 'id' and 'cluster' are required\./);
  load({ configYaml, serviceNode: 'n', serviceCluster: 'c' });
});

test('says what is wrong with a file it cannot take', () => {
  assert.match(refused({ configPath: join(folder, 'none.yaml') }), /^none.yaml: cannot be read: ENOENT/);
  assert.match(refused({ configPath: folder }), /cannot be read: EISDIR/);
  assert.match(refused({ configPath: file('x.pb', 'node') }), /x.pb: envoy.config.bootstrap.v3.Bootstrap: 4 bytes/);
  assert.match(refused({ configPath: file('x.pb_text', '') }), /use .yaml, .json or .pb/);
  assert.match(refused({ configPath: file('b.yaml', 'a: [1, 2\nb: }') }), /b.yaml:2:\d+: /);
  assert.match(refused({ configPath: file('c.json', '{"node": {"id" "a"}}') }), /c.json:1:\d+: /);
  assert.match(refused({ configYaml: 'text' }), /the bootstrap must be an object/);
  assert.match(refused({}), /at least one of --config-path or --config-yaml/);
});

test('takes an empty file for an empty bootstrap', () => {
  assert.deepEqual(json({ configPath: file('empty.yaml', '') }), { node: {} });
});

test('gives a large bootstrap back as it was, kept in a fraction of its size', () => {
  const clusters = Array.from({ length: 2_000 }, (_, at) => ({ name: `Zahlung-${at}-ü`, connect_timeout: '1.500s' }));
  const given = { node: { id: 'a', cluster: 'c' }, static_resources: { clusters } };
  assert.deepEqual(json({ configPath: file('large.json', JSON.stringify(given)) }), given);
});
