import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import { SecretManager } from '../../proxy/secrets/secret-manager.ts';
import { secretKey, validationKey } from '../../proxy/tls/secret-key.ts';
import type { SecretPayload } from '../../proxy/tls/secret-table.ts';
import type { DataSource } from '../../xds-client/model/common.ts';
import type { Listener } from '../../xds-client/model/listener.ts';
import type { Secret, TlsCertificate, TlsParameters } from '../../xds-client/model/tls.ts';
import { listener as makeListener, rawChain } from '../listener/support.ts';
import { ADS, downstreamTls, FakeStats, parameters, uriSan, validationContext } from '../tls/support.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const other = new DevCa({ now: Date.now, trustDomain: 'other' });
const folder = mkdtempSync(join(tmpdir(), 'tollway-secrets-'));
const managers: SecretManager[] = [];
after(() => {
  for (const manager of managers) manager.close();
  rmSync(folder, { recursive: true });
});

type Event =
  | { readonly key: string; readonly payload: SecretPayload }
  | { readonly problem: string; readonly reason: string };

class Probe {
  readonly events: Event[] = [];
  readonly stats = new FakeStats();
  readonly unused: string[] = [];
  readonly manager: SecretManager;
  #wake: (() => void) | undefined;

  constructor(environment: { readonly [name: string]: string } = {}) {
    this.manager = new SecretManager({
      onMaterial: (key, payload) => this.#push({ key, payload }),
      onProblem: ({ name, reason, serving, kind }) =>
        this.#push({ problem: `${name ?? 'in place'} ${kind}${serving ? ', serving' : ''}`, reason }),
      stats: this.stats,
      onUnused: (name) => this.unused.push(name),
      statPrefix: ({ kind, value }) => `${kind}.${value.name}.`,
      environment,
    });
    managers.push(this.manager);
  }

  #push(event: Event): void {
    this.events.push(event);
    this.#wake?.();
  }

  async next(): Promise<Event> {
    while (this.events.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.events.shift() as Event;
  }

  async chain(): Promise<string> {
    const event = await this.next();
    assert.ok('payload' in event && event.payload.kind === 'certificate', JSON.stringify(event));
    return event.payload.certificate.chain;
  }

  async problem(): Promise<string> {
    const event = await this.next();
    assert.ok('problem' in event, 'material came where a problem was expected');
    return `${event.problem}: ${event.reason}`;
  }
}

function inline(text: string): DataSource {
  return { kind: 'inline', base64: Buffer.from(text).toString('base64') };
}

function file(...path: string[]): DataSource {
  return { kind: 'file', path: join(folder, ...path), watchedDirectory: undefined };
}

function certificate(chain: DataSource, key: DataSource): TlsCertificate {
  return {
    certificateChain: chain,
    privateKey: key,
    password: undefined,
    ocspStaple: undefined,
    watchedDirectory: undefined,
  };
}

function inlineCertificate(leaf: IssuedLeaf): TlsCertificate {
  return certificate(inline(leaf.chain), inline(leaf.key));
}

function listenerWith(common: Partial<TlsParameters>): Listener {
  const tls = downstreamTls({}, parameters({ validation: undefined, ...common }));
  return makeListener({ filterChains: [{ ...rawChain('a'), transportSocket: { kind: 'tls', tls } }] });
}

function withCertificate(secret: TlsCertificate): Listener {
  return listenerWith({ certificates: [{ kind: 'inline', secret }] });
}

test('inline material is there after the turn that asked for it', async () => {
  const probe = new Probe();
  const leaf = ca.issue({ spiffeId: 'spiffe://td/a' });
  const value = withCertificate(inlineCertificate(leaf));
  const keys = probe.manager.secretsOf({ kind: 'listener', value });
  assert.deepEqual(keys, [secretKey({ kind: 'inline', secret: inlineCertificate(leaf) })]);
  assert.equal(probe.events.length, 0);
  assert.equal(await probe.chain(), leaf.chain);
  assert.ok(!keys[0]?.includes(leaf.key.slice(40, 60)));
  assert.equal(probe.manager.secretsOf({ kind: 'listener', value }), keys);
});

test('material that cannot serve is refused with a reason and without its content', async () => {
  const leaf = ca.issue({});
  const cases: [TlsCertificate, RegExp][] = [
    [certificate(inline('junk'), inline(leaf.key)), /certificate chain does not parse: no PEM certificate found/],
    [certificate(inline(leaf.chain), inline('junk-key-material')), /private key does not parse/],
    [certificate(inline(leaf.chain), inline(ca.issue({}).key)), /key does not belong to the certificate/],
    [certificate(inline(leaf.chain), { kind: 'environment', variable: 'NO_KEY' }), /variable NO_KEY is not set/],
  ];
  for (const [secret, expected] of cases) {
    const probe = new Probe();
    probe.manager.secretsOf({ kind: 'listener', value: withCertificate(secret) });
    const problem = await probe.problem();
    assert.match(problem, expected);
    assert.doesNotMatch(problem, /junk|BEGIN/);
  }
});

test('a key can come from the environment', async () => {
  const leaf = ca.issue({});
  const probe = new Probe({ KEY: leaf.key });
  const secret = certificate(inline(leaf.chain), { kind: 'environment', variable: 'KEY' });
  probe.manager.secretsOf({ kind: 'listener', value: withCertificate(secret) });
  assert.equal(await probe.chain(), leaf.chain);
});

test('SDS brings material, renews it, and a bad push changes nothing', async () => {
  const probe = new Probe();
  const ref = { kind: 'sds', name: 'default', source: ADS } as const;
  const secret = (leaf: IssuedLeaf): Secret => ({
    kind: 'certificate',
    name: 'default',
    certificate: inlineCertificate(leaf),
  });
  const keys = probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [ref] }) });
  assert.deepEqual(keys, [secretKey(ref)]);
  const [first, second] = [ca.issue({}), ca.issue({})];
  probe.manager.setSecret(secret(first), 'ads');
  assert.equal(await probe.chain(), first.chain);
  probe.manager.setSecret(secret({ ...second, key: first.key }), 'ads');
  assert.match(await probe.problem(), /^default refused, serving: the private key does not belong/);
  probe.manager.setSecret({ kind: 'validation', name: 'default', validation: validationContext() }, 'ads');
  assert.match(await probe.problem(), /^default refused, serving: it is a validation context/);
  probe.manager.setSecret(secret(second), 'ads');
  const event = await probe.next();
  assert.ok('payload' in event && event.payload.kind === 'certificate');
  assert.equal(event.payload.certificate.chain, second.chain);
  assert.ok(event.payload.generation > 1);
  assert.equal(probe.stats.get('sds.default.update_rejected'), 2);
  assert.equal(probe.stats.get('listener.l.server_ssl_socket_factory.ssl_context_update_by_sds'), 2);
});

test('a secret that is sent again as it is opens nothing anew', async () => {
  const probe = new Probe();
  const ref = { kind: 'sds', name: 'default', source: ADS } as const;
  probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [ref] }) });
  const [first, second] = [ca.issue({}), ca.issue({})];
  for (const leaf of [first, first, second]) {
    probe.manager.setSecret({ kind: 'certificate', name: 'default', certificate: inlineCertificate(leaf) }, 'ads');
  }
  assert.equal(await probe.chain(), first.chain);
  assert.equal(await probe.chain(), second.chain);
  assert.deepEqual(probe.events, []);
});

test('a secret goes to those who asked its source for it', async () => {
  const probe = new Probe();
  const [fixed, sent, filed] = [ca.issue({}), ca.issue({}), ca.issue({})];
  const sources = { static: fixed, ads: sent, 'path:/sds.yaml': filed };
  const asked = {
    static: { kind: 'self' },
    ads: ADS,
    'path:/sds.yaml': { kind: 'path', path: '/sds.yaml', watchedDirectory: undefined },
  } as const;
  for (const [source, leaf] of Object.entries(sources)) {
    probe.manager.setSecret({ kind: 'certificate', name: 'same', certificate: inlineCertificate(leaf) }, source);
  }
  for (const source of ['static', 'ads', 'path:/sds.yaml'] as const) {
    const ref = { kind: 'sds', name: 'same', source: asked[source] } as const;
    probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [ref] }) });
    assert.equal(await probe.chain(), sources[source].chain);
  }
});

test('a combined context is the defaults with what SDS adds', async () => {
  const probe = new Probe();
  const defaults = validationContext({ sanMatches: [uriSan('spiffe://td/a')], trustedCa: inline(other.rootPem) });
  const validation = { kind: 'sds', name: 'ROOTCA', source: ADS, defaults } as const;
  const keys = probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [], validation }) });
  assert.deepEqual(keys, [validationKey(validation)]);
  assert.notEqual(keys[0], validationKey({ ...validation, defaults: undefined }));
  probe.manager.setSecret(
    {
      kind: 'validation',
      name: 'ROOTCA',
      validation: validationContext({ trustedCa: inline(ca.rootPem), sanMatches: [uriSan('spiffe://td/b')] }),
    },
    'ads',
  );
  const event = await probe.next();
  assert.ok('payload' in event && event.payload.kind === 'trust');
  assert.equal(event.payload.trust.trustedCa, ca.rootPem);
  assert.deepEqual(
    event.payload.rules.sanMatches.map((san) => san.match.value),
    ['spiffe://td/a', 'spiffe://td/b'],
  );
});

test('a bundle without certificates is refused', async () => {
  const probe = new Probe();
  const validation = { kind: 'inline', context: validationContext({ trustedCa: inline('nothing') }) } as const;
  probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [], validation }) });
  assert.match(await probe.problem(), /trusted CA does not parse/);
});

/** Kubernetes' way: files are links into `..data`, itself a link that is swapped. */
function publish(name: string, version: string, leaf: IssuedLeaf): void {
  const mount = join(folder, name);
  mkdirSync(join(mount, version), { recursive: true });
  writeFileSync(join(mount, version, 'tls.crt'), leaf.chain);
  writeFileSync(join(mount, version, 'tls.key'), leaf.key);
  symlinkSync(version, join(mount, '..data_tmp'));
  renameSync(join(mount, '..data_tmp'), join(mount, '..data'));
}

test('a swapped directory brings chain and key together', async () => {
  const leaves = Array.from({ length: 4 }, () => ca.issue({}));
  publish('k8s', 'v0', leaves[0] as IssuedLeaf);
  for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(folder, 'k8s', name));
  const probe = new Probe();
  const secret = certificate(file('k8s', 'tls.crt'), file('k8s', 'tls.key'));
  probe.manager.secretsOf({ kind: 'listener', value: withCertificate(secret) });
  assert.equal(await probe.chain(), leaves[0]?.chain);
  for (const [i, leaf] of leaves.entries()) {
    if (i === 0) continue;
    publish('k8s', `v${i}`, leaf);
    assert.equal(await probe.chain(), leaf.chain);
  }
});

test('files written one after the other are taken when they fit', async () => {
  const [first, second] = [ca.issue({}), ca.issue({})];
  mkdirSync(join(folder, 'plain'));
  const write = (name: string, text: string) => writeFileSync(join(folder, 'plain', name), text);
  write('tls.crt', first.chain);
  write('tls.key', first.key);
  const probe = new Probe();
  probe.manager.secretsOf({
    kind: 'listener',
    value: withCertificate(certificate(file('plain', 'tls.crt'), file('plain', 'tls.key'))),
  });
  assert.equal(await probe.chain(), first.chain);
  write('tls.crt', second.chain);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(probe.events, []);
  write('tls.key', second.key);
  assert.equal(await probe.chain(), second.chain);
  write('tls.crt', 'broken');
  assert.match(await probe.problem(), /^in place rotation, serving: the certificate chain does not parse/);
  write('tls.crt', first.chain);
  write('tls.key', first.key);
  assert.equal(await probe.chain(), first.chain);
});

test('a missing file is reported by path', async () => {
  const probe = new Probe();
  const secret = certificate(file('nowhere', 'tls.crt'), file('nowhere', 'tls.key'));
  probe.manager.secretsOf({ kind: 'listener', value: withCertificate(secret) });
  assert.match(await probe.problem(), /cannot read ".*nowhere\/tls\.crt": ENOENT/);
});

test('certificates in use are listed with their authority, and forgotten with their resources', async () => {
  const probe = new Probe();
  const leaf = ca.issue({});
  const value = listenerWith({
    certificates: [{ kind: 'inline', secret: inlineCertificate(leaf) }],
    validation: { kind: 'inline', context: validationContext({ trustedCa: inline(ca.rootPem) }) },
  });
  const keys = probe.manager.secretsOf({ kind: 'listener', value });
  await probe.next();
  await probe.next();
  assert.deepEqual(probe.manager.certificates(), [
    { ca: { path: '<inline>', pem: ca.rootPem }, chains: [{ path: '<inline>', pem: leaf.chain }] },
  ]);
  assert.deepEqual(probe.manager.retain([{ kind: 'listener', value }]), []);
  assert.deepEqual(probe.manager.retain([]), keys);
  assert.deepEqual(probe.manager.certificates(), []);
});

test('a context is listed once all of it is there', async () => {
  const probe = new Probe();
  const leaf = ca.issue({});
  const validation = { kind: 'sds', name: 'ROOTCA', source: ADS, defaults: undefined } as const;
  const certificates = [{ kind: 'inline', secret: inlineCertificate(leaf) }] as const;
  const value = listenerWith({ certificates, validation });
  probe.manager.secretsOf({ kind: 'listener', value });
  await probe.next();
  assert.deepEqual(probe.manager.certificates(), []);
  const secret = {
    kind: 'validation',
    name: 'ROOTCA',
    validation: validationContext({ trustedCa: inline(ca.rootPem) }),
  };
  probe.manager.setSecret(secret as Secret, 'ads');
  assert.equal(probe.manager.certificates().length, 1);
});

test('what is let go is neither watched nor told of, and begins anew', async () => {
  const probe = new Probe();
  const ref = { kind: 'sds', name: 'default', source: ADS } as const;
  const value = listenerWith({ certificates: [ref] });
  const secret: Secret = { kind: 'certificate', name: 'default', certificate: inlineCertificate(ca.issue({})) };
  probe.manager.secretsOf({ kind: 'listener', value });
  probe.manager.setSecret(secret, 'ads');
  // before the turn in which it would be told of
  assert.deepEqual(probe.manager.retain([]), [secretKey(ref)]);
  assert.deepEqual(probe.unused, ['default']);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(probe.events, []);
  // the control plane has to send it again
  const keys = probe.manager.secretsOf({ kind: 'listener', value });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([keys, probe.events], [[secretKey(ref)], []]);
  probe.manager.setSecret(secret, 'ads');
  await probe.chain();
});

test('material that another still needs stays', async () => {
  const probe = new Probe();
  const ref = { kind: 'sds', name: 'default', source: ADS } as const;
  const [one, two] = [listenerWith({ certificates: [ref] }), listenerWith({ certificates: [ref] })];
  probe.manager.secretsOf({ kind: 'listener', value: one });
  probe.manager.secretsOf({ kind: 'listener', value: two });
  assert.deepEqual(probe.manager.retain([{ kind: 'listener', value: two }]), []);
  assert.deepEqual(probe.unused, []);
  probe.manager.setSecret(
    { kind: 'certificate', name: 'default', certificate: inlineCertificate(ca.issue({})) },
    'ads',
  );
  await probe.chain();
});

test('files that SDS names go on rotating after a bad push', async () => {
  const probe = new Probe();
  const ref = { kind: 'sds', name: 'default', source: ADS } as const;
  const [first, second] = [ca.issue({}), ca.issue({})];
  mkdirSync(join(folder, 'pushed'));
  const write = (leaf: IssuedLeaf): void => {
    writeFileSync(join(folder, 'pushed', 'tls.crt'), leaf.chain);
    writeFileSync(join(folder, 'pushed', 'tls.key'), leaf.key);
  };
  write(first);
  probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [ref] }) });
  const files = certificate(file('pushed', 'tls.crt'), file('pushed', 'tls.key'));
  probe.manager.setSecret({ kind: 'certificate', name: 'default', certificate: files }, 'ads');
  assert.equal(await probe.chain(), first.chain);
  const bad = certificate(inline('junk'), inline(first.key));
  probe.manager.setSecret({ kind: 'certificate', name: 'default', certificate: bad }, 'ads');
  assert.match(await probe.problem(), /^default refused, serving: the certificate chain does not parse/);
  write(second);
  assert.equal(await probe.chain(), second.chain);
  writeFileSync(join(folder, 'pushed', 'tls.key'), first.key);
  assert.match(await probe.problem(), /^default rotation, serving: the private key does not belong/);
  assert.equal(probe.stats.get('sds.default.key_rotation_failed'), 1);
  assert.equal(probe.stats.get('sds.default.update_rejected'), 1);
});

test('a watched directory brings files that stand elsewhere', async () => {
  const probe = new Probe();
  const [first, second] = [ca.issue({}), ca.issue({})];
  for (const name of ['elsewhere', 'signal']) mkdirSync(join(folder, name));
  const write = (leaf: IssuedLeaf): void => {
    writeFileSync(join(folder, 'elsewhere', 'tls.crt'), leaf.chain);
    writeFileSync(join(folder, 'elsewhere', 'tls.key'), leaf.key);
  };
  write(first);
  // the files are links: their own directory does not move when what they point at changes
  mkdirSync(join(folder, 'links'));
  for (const name of ['tls.crt', 'tls.key']) {
    symlinkSync(join(folder, 'elsewhere', name), join(folder, 'links', name));
  }
  const secret = certificate(file('links', 'tls.crt'), file('links', 'tls.key'));
  const watched = { ...secret, watchedDirectory: join(folder, 'signal') };
  probe.manager.secretsOf({ kind: 'listener', value: withCertificate(watched) });
  assert.equal(await probe.chain(), first.chain);
  write(second);
  writeFileSync(join(folder, 'signal', 'moved'), '');
  assert.equal(await probe.chain(), second.chain);
});

test('when certificates end is shown by the name of their secret, or as unnamed', async () => {
  const probe = new Probe();
  const leaf = ca.issue({ ttlMs: 3_600_000 });
  const validation = {
    kind: 'inline',
    context: validationContext({ trustedCa: inline(leaf.chain + ca.rootPem) }),
  } as const;
  const user = { kind: 'listener', value: listenerWith({ validation }) } as const;
  probe.manager.secretsOf(user);
  probe.manager.setSecret({ kind: 'certificate', name: 'default', certificate: inlineCertificate(leaf) }, 'ads');
  await probe.next();
  probe.manager.refreshGauges();
  const ends = [...probe.stats.values].filter(([name]) => name.endsWith('.expiration_unix_time_seconds'));
  const name = (certificate: string) =>
    `listener.${user.value.name}.ssl.certificate.${certificate}.expiration_unix_time_seconds`;
  const now = Date.now() / 1000;
  for (const [, end] of ends) assert.ok(end > now + 3_000 && end < now + 3_700, 'the first of a bundle to end');
  assert.deepEqual(
    ends.map(([shown]) => shown),
    [name('default'), name('unnamed_ca_cert_e3b0c442')],
  );
  probe.manager.retain([]);
  probe.manager.refreshGauges();
  assert.equal([...probe.stats.values.keys()].filter((shown) => shown.includes('expiration')).length, 0);
});

const bundleMap = (...domains: readonly [name: string, root: string][]): string =>
  JSON.stringify({
    trust_domains: Object.fromEntries(
      domains.map(([name, root]) => [
        name,
        { keys: [{ use: 'x509-svid', x5c: [root.replaceAll(/-----[^-]+-----|\s/g, '')] }, { use: 'jwt-svid' }] },
      ]),
    ),
  });

test('trust domains come with a bundle each, and a map of them is watched', async () => {
  const probe = new Probe();
  const path = join(folder, 'bundles.json');
  writeFileSync(path, bundleMap(['td', ca.rootPem]));
  const spiffe = { domains: [], bundles: file('bundles.json') };
  const context = validationContext({ spiffe });
  probe.manager.secretsOf({
    kind: 'listener',
    value: listenerWith({ certificates: [], validation: { kind: 'inline', context } }),
  });
  const domains = async (): Promise<readonly (readonly [string, number])[]> => {
    const event = await probe.next();
    assert.ok('payload' in event && event.payload.kind === 'trust', JSON.stringify(event));
    const { trust } = event.payload;
    assert.equal(trust.trustedCa, trust.domains?.map(({ authorities }) => authorities).join('\n'));
    return (trust.domains ?? []).map(({ name, authorities }) => [name, parseCertificates(authorities).length] as const);
  };
  assert.deepEqual(await domains(), [['td', 1]]);
  writeFileSync(`${path}.new`, bundleMap(['td', ca.rootPem], ['other', other.rootPem]));
  renameSync(`${path}.new`, path);
  assert.deepEqual(await domains(), [
    ['td', 1],
    ['other', 1],
  ]);
  writeFileSync(`${path}.new`, '{"trust_domains": {"td": {"keys": []}}}');
  renameSync(`${path}.new`, path);
  assert.match(await probe.problem(), /^in place rotation, serving: the bundle of "td" has no key for x509-svid$/);
});

test('a trust domain whose bundle is empty is refused, and a secret may complete what the context says', async () => {
  const probe = new Probe();
  const spiffe = (root: string) => ({
    domains: [
      { name: 'other', bundle: inline(other.rootPem) },
      { name: 'td', bundle: inline(root) },
    ],
    bundles: undefined,
  });
  const ref = {
    kind: 'sds',
    name: 'ROOTCA',
    source: ADS,
    defaults: validationContext({ sanMatches: [uriSan('x')] }),
  } as const;
  probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [], validation: ref }) });
  const secret = (root: string): Secret => ({
    kind: 'validation',
    name: 'ROOTCA',
    validation: validationContext({ spiffe: spiffe(root) }),
  });
  probe.manager.setSecret(secret(''), 'ads');
  assert.match(await probe.problem(), /the bundle of trust domain "td" does not parse: no PEM certificate found/);
  probe.manager.setSecret(secret(ca.rootPem), 'ads');
  const event = await probe.next();
  assert.ok('payload' in event && event.payload.kind === 'trust');
  assert.equal(event.payload.rules.sanMatches.length, 1);
  assert.equal(event.payload.trust.domains?.[1]?.authorities, ca.rootPem);
});
