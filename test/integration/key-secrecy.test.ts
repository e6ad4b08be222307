import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { AdsServer } from '../../deploy/local/control-plane/ads-server.ts';
import { once1 } from './tls-callers.ts';
import {
  adsBootstrap,
  CLUSTER,
  certificateSecret,
  httpsListener,
  LISTENER,
  message,
  SECRET,
  sds,
  staticCluster,
  tlsCluster,
  trustSecret,
} from './tls-config.ts';
import { address, eventually, folderOf, occupiedPort, Tollway } from './tollway.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const issue = () => ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/payment', ttlMs: 600_000 });
const PASSWORD = 'a pass phrase of the key';

/** What of a key in PEM would give it away: pieces of its base64, and its secret number in the usual spellings. */
function traces(pem: string): string[] {
  const lines = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
  const body = lines.join('');
  const pieces = Array.from({ length: Math.floor(body.length / 24) }, (_, i) => body.slice(i * 24, i * 24 + 24));
  if (pem.includes('ENCRYPTED')) return pieces;
  const { d } = createPrivateKey(pem).export({ format: 'jwk' });
  const secret = Buffer.from(String(d), 'base64url');
  // the first line is the same in every key of the kind
  return [
    ...pieces.slice(2),
    String(d),
    secret.toString('hex'),
    secret.toString('hex').toUpperCase(),
    secret.toString('base64'),
  ];
}

test('no key is in any admin page, log line or error, at any level', async (t) => {
  const folder = folderOf(t);
  const leaves = { ads: issue(), inline: issue(), file: issue(), broken: issue(), locked: issue() };
  const locked = createPrivateKey(leaves.locked.key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: PASSWORD })
    .toString();
  const keyFile = join(folder, 'tls.key');
  writeFileSync(join(folder, 'tls.crt'), leaves.file.chain);
  writeFileSync(keyFile, leaves.file.key, { mode: 0o600 });
  const fromFiles = {
    tls_certificates: [
      { certificate_chain: { filename: join(folder, 'tls.crt') }, private_key: { filename: keyFile } },
    ],
    validation_context: { trusted_ca: { inline_string: ca.rootPem } },
  };
  const inline = {
    tls_certificates: [
      { certificate_chain: { inline_string: leaves.inline.chain }, private_key: { inline_string: leaves.inline.key } },
    ],
  };
  const encrypted = {
    tls_certificates: [
      {
        certificate_chain: { inline_string: leaves.locked.chain },
        private_key: { inline_bytes: Buffer.from(locked).toString('base64') },
        password: { inline_string: PASSWORD },
      },
    ],
  };
  const bySds = {
    tls_certificate_sds_secret_configs: [sds('default')],
    validation_context_sds_secret_config: sds('ROOTCA'),
  };
  const plane = new AdsServer({});
  t.after(() => plane.kill());
  const xds = Number((await plane.listen()).split(':').at(-1));
  const dead = await occupiedPort(t);
  const set = (type: string, ...resources: object[]) =>
    plane.setResources(type, new Map(resources.map((one) => [String(Reflect.get(one, 'name')), message(type, one)])));
  set(SECRET, certificateSecret('default', leaves.ads), trustSecret('ROOTCA', ca.rootPem));
  set(CLUSTER, tlsCluster('secure', dead, bySds));
  set(
    LISTENER,
    httpsListener('sds', bySds, 'away'),
    httpsListener('inline', inline, 'away'),
    httpsListener('encrypted', encrypted, 'away'),
  );
  const bootstrap = {
    ...adsBootstrap(xds, {
      listeners: [httpsListener('files', fromFiles, 'away')],
      clusters: [staticCluster('away', dead)],
      secrets: [certificateSecret('own', leaves.inline)],
    }),
    admin: { address: address(0) },
  };
  const proxy = await new Tollway(t, bootstrap, ['--concurrency', '1', '-l', 'trace']).live();
  const caller = { leaf: issue(), roots: ca.rootPem };
  for (const name of ['files', 'sds', 'inline', 'encrypted']) {
    const answer = await once1(await proxy.port(name), caller);
    assert.ok('status' in answer, JSON.stringify(answer));
  }

  // what is broken is told of in words: a key cut in two, the chain where the key belongs, a key with the wrong chain
  const half = leaves.broken.key.slice(0, leaves.broken.key.length / 2);
  writeFileSync(keyFile, half);
  const rejected = 'sds.default.update_rejected';
  for (const [count, key] of [half, leaves.broken.key, leaves.broken.key.replaceAll('PRIVATE', 'ANOTHER')].entries()) {
    set(SECRET, certificateSecret('default', { chain: leaves.ads.chain, key }), trustSecret('ROOTCA', ca.rootPem));
    await eventually('the secret is refused', async () =>
      ((await proxy.stat(rejected)) ?? 0) > count ? true : undefined,
    );
  }
  set(
    LISTENER,
    httpsListener(
      'bad',
      {
        tls_certificates: [
          { certificate_chain: { inline_string: leaves.broken.key }, private_key: { inline_string: half } },
        ],
      },
      'away',
    ),
  );
  await eventually('the file is told of', async () =>
    /private key does not/.test(proxy.stderr + proxy.stdout) ? true : undefined,
  );

  const help = (await proxy.admin('/help')).body;
  const paths = [...help.matchAll(/^ {2}(\/[a-z0-9_/]*)/gm)].map(([, path]) => path ?? '');
  assert.ok(paths.includes('/config_dump') && paths.includes('/certs') && paths.includes('/stats'), help);
  const texts: [string, string][] = [];
  for (const path of [
    ...paths,
    '/config_dump?include_eds',
    '/stats?format=json',
    '/init_dump',
    '/listeners?format=json',
    '/clusters?format=json',
  ]) {
    // others change the proxy and end it
    if (/quit|drain|healthcheck|heap|cpuprofiler/.test(path)) continue;
    texts.push([path, (await proxy.admin(path)).body]);
  }
  assert.match(texts.find(([path]) => path === '/config_dump')?.[1] ?? '', /BEGIN CERTIFICATE|LS0tLS1CRUdJTiBDRVJU/);
  texts.push(['stdout', proxy.stdout], ['stderr', proxy.stderr]);
  // the traces would be found: they are in what the proxy was given
  const given = readFileSync(join(proxy.folder, 'bootstrap.yaml'), 'utf8');
  assert.ok(traces(leaves.inline.key).some((trace) => given.includes(trace)));
  const all = [...Object.values(leaves).map(({ key }) => key), locked].flatMap(traces);
  for (const [where, text] of texts) {
    for (const trace of [...all, PASSWORD]) {
      // dumps hold bytes as base64: three ways for a text to lie in it
      assert.ok(!text.includes(trace), `${where} holds a key`);
    }
    for (const encoded of text.match(/[A-Za-z0-9+/]{80,}={0,2}/g) ?? []) {
      const bytes = Buffer.from(encoded, 'base64').toString('latin1');
      for (const trace of [...all, PASSWORD]) assert.ok(!bytes.includes(trace), `${where} holds a key in base64`);
    }
  }
});
