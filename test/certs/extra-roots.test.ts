import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Identity, IdentityListener, IdentitySource } from '../../certs/source/contract.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { ExtraRoots } from '../../certs/source/extra-roots.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import { certificateOf, Heard, until } from './fakes.ts';

const [old, next] = [1, 2].map(() => new DevCa({ now: Date.now, trustDomain: 'td' }).rootPem) as [string, string];

class HeldSource implements IdentitySource {
  listener: IdentityListener | undefined;
  closed = false;

  start(listener: IdentityListener): void {
    this.listener = listener;
  }

  close(): void {
    this.closed = true;
  }
}

function identityOf(root: string): Identity {
  const partner = { trustDomain: 'partner', pem: 'theirs' };
  return { certificates: [certificateOf(0, 1)], bundles: [{ trustDomain: 'td', pem: root }, partner], crl: undefined };
}

function start(t: TestContext, roots: string | undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-roots-'));
  const path = join(folder, 'root-cert.pem');
  const write = (text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  if (roots !== undefined) write(roots);
  const inner = new HeldSource();
  const heard = new Heard();
  const source = new ExtraRoots(inner, path, 50);
  t.after(() => {
    source.close();
    rmSync(folder, { recursive: true });
  });
  source.start(heard);
  const own = (): number => {
    const pem = heard.identities.at(-1)?.bundles[0]?.pem;
    return pem === undefined ? 0 : parseCertificates(pem).length;
  };
  return { inner, heard, source, write, own };
}

test('both roots are trusted while the file has them, each once', async (t) => {
  const { inner, heard, write, own } = start(t, old + old);
  inner.listener?.updated(identityOf(old));
  write(old + next);
  await until('the file was read', () => own() === 2);
  inner.listener?.updated(identityOf(next));
  assert.equal(own(), 2);
  assert.deepEqual(heard.identities.at(-1)?.bundles[1], { trustDomain: 'partner', pem: 'theirs' });
  write(next);
  await until('the old root is gone', () => own() === 1);
  assert.deepEqual(heard.problems, []);
});

test('an identity does not wait for a file that is missing or broken', async (t) => {
  const { inner, heard, write, own } = start(t, undefined);
  inner.listener?.updated(identityOf(old));
  assert.equal(own(), 1);
  await until('it is told', () => heard.problems.length === 1);
  assert.match(heard.problems[0]?.reason ?? '', /cannot read ".*root-cert.pem": ENOENT/);
  write('nonsense');
  await until('it is told', () => heard.problems.length === 2);
  write(next);
  await until('it is there', () => own() === 2);
  write('nonsense');
  await until('it is told', () => heard.problems.length === 3);
  assert.equal(own(), 2, 'what was good stays');
});

test("the source's own problems go on, and it is closed with it", (t) => {
  const { inner, heard, source } = start(t, old);
  const problem = { kind: 'unreachable', reason: 'x', retryInMs: 1 } as const;
  inner.listener?.problem(problem);
  assert.deepEqual(heard.problems, [problem]);
  source.close();
  assert.ok(inner.closed);
});
