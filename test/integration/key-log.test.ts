import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { httpsListener } from './tls-config.ts';
import { bootstrapOf, clusterTo, eventually, folderOf, occupiedPort, Tollway } from './tollway.ts';

const leaf = new DevCa({ now: Date.now, trustDomain: 'td' }).issue({ dnsNames: ['a.test'], ttlMs: 600_000 });

/** The keys of one handshake as the caller knows them, a line each. */
function keysOf(port: number): Promise<string[]> {
  return new Promise((done, failed) => {
    const lines: string[] = [];
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('keylog', (line: Buffer) => lines.push(line.toString().trim()));
    socket.on('secureConnect', () => socket.end());
    socket.on('error', failed);
    socket.on('close', () => done(lines));
    socket.resume();
  });
}

test('keys are written for the addresses that the bootstrap names, to a file of the owner alone', async (t) => {
  const folder = folderOf(t);
  const tls = (key_log: object) => ({
    key_log,
    tls_certificates: [{ certificate_chain: { inline_string: leaf.chain }, private_key: { inline_string: leaf.key } }],
  });
  const here = { address_prefix: '127.0.0.0', prefix_len: 8 };
  const elsewhere = { address_prefix: '10.0.0.0', prefix_len: 8 };
  const paths = { all: join(folder, 'all.log'), ours: join(folder, 'ours.log'), theirs: join(folder, 'theirs.log') };
  // whoever could read the file before cannot any more
  writeFileSync(paths.all, '', { mode: 0o644 });
  const proxy = await new Tollway(
    t,
    bootstrapOf(
      [
        httpsListener('all', tls({ path: paths.all }), 'away'),
        httpsListener(
          'ours',
          tls({ path: paths.ours, local_address_range: [here], remote_address_range: [elsewhere, here] }),
          'away',
        ),
        httpsListener(
          'theirs',
          tls({ path: paths.theirs, local_address_range: [here], remote_address_range: [elsewhere] }),
          'away',
        ),
      ],
      [clusterTo('away', await occupiedPort(t))],
    ),
    ['--concurrency', '1'],
  ).live();
  for (const name of ['all', 'ours'] as const) {
    const lines = await keysOf(await proxy.port(name));
    assert.ok(lines.length >= 5, lines.join('\n'));
    await eventually('the keys are written', () => {
      const written = existsSync(paths[name]) ? readFileSync(paths[name], 'utf8').split('\n') : [];
      return lines.every((line) => written.includes(line)) ? true : undefined;
    });
    assert.equal(statSync(paths[name]).mode & 0o777, 0o600);
  }
  await keysOf(await proxy.port('theirs'));
  await eventually('the handshake is over', async () =>
    (await proxy.stat('listener.theirs.downstream_cx_tls')) === 1 ? true : undefined,
  );
  assert.ok(!existsSync(paths.theirs));
});
