import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { SecretManager } from '../../proxy/secrets/secret-manager.ts';
import { secretKey, validationKey } from '../../proxy/tls/secret-key.ts';
import type { SecretPayload } from '../../proxy/tls/secret-table.ts';
import type { DataSource } from '../../xds-client/model/common.ts';
import type { Listener } from '../../xds-client/model/listener.ts';
import type { Secret, TlsCertificate, TlsParameters } from '../../xds-client/model/tls.ts';
import { listener as makeListener, rawChain } from '../listener/support.ts';
import { ADS, downstreamTls, parameters, uriSan, validationContext } from '../tls/support.ts';

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
  readonly manager: SecretManager;
  #wake: (() => void) | undefined;

  constructor(environment: { readonly [name: string]: string } = {}) {
    this.manager = new SecretManager({
      onMaterial: (key, payload) => this.#push({ key, payload }),
      onError: (problem, reason) => this.#push({ problem, reason }),
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
  probe.manager.setSecret(secret(first));
  assert.equal(await probe.chain(), first.chain);
  probe.manager.setSecret(secret({ ...second, key: first.key }));
  assert.match(await probe.problem(), /^default: the private key does not belong/);
  probe.manager.setSecret({ kind: 'validation', name: 'default', validation: validationContext() });
  assert.match(await probe.problem(), /^default: is a validation context/);
  probe.manager.setSecret(secret(second));
  const event = await probe.next();
  assert.ok('payload' in event && event.payload.kind === 'certificate');
  assert.equal(event.payload.certificate.chain, second.chain);
  assert.ok(event.payload.generation > 1);
});

test('a combined context is the defaults with what SDS adds', async () => {
  const probe = new Probe();
  const defaults = validationContext({ sanMatches: [uriSan('spiffe://td/a')], trustedCa: inline(other.rootPem) });
  const validation = { kind: 'sds', name: 'ROOTCA', source: ADS, defaults } as const;
  const keys = probe.manager.secretsOf({ kind: 'listener', value: listenerWith({ certificates: [], validation }) });
  assert.deepEqual(keys, [validationKey(validation)]);
  assert.notEqual(keys[0], validationKey({ ...validation, defaults: undefined }));
  probe.manager.setSecret({
    kind: 'validation',
    name: 'ROOTCA',
    validation: validationContext({ trustedCa: inline(ca.rootPem), sanMatches: [uriSan('spiffe://td/b')] }),
  });
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
  assert.match(await probe.problem(), /inline certificate: the certificate chain does not parse/);
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
    { ca: { path: '<inline>', pem: ca.rootPem }, chain: { path: '<inline>', pem: leaf.chain } },
  ]);
  assert.deepEqual(probe.manager.retain([{ kind: 'listener', value }]), []);
  assert.deepEqual(probe.manager.retain([]), keys);
  assert.deepEqual(probe.manager.certificates(), []);
});
