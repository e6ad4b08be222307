/**
 * Two pods and a host that has no proxy, each a network namespace with addresses of its own, and the real rules between
 * applications and proxies.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { connect, Namespace, whyNot } from './namespaces.ts';
import { CLIENT, clientPod, serverPod } from './pods.ts';

const skip = whyNot() ?? false;
const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const FLAGS = ['-u', '1337', '-g', '1337', '-i', '*', '-b', '*', '-d', '15090'];
const PAYMENT = { 4: 'http://10.81.0.2:8080/pay', 6: 'http://[fd00:81::2]:8080/pay' } as const;

const VARIANTS = [
  { name: 'REDIRECT by iptables', flags: ['-m', 'REDIRECT'], transparent: false },
  { name: 'REDIRECT by nft', flags: ['-m', 'REDIRECT', '--native-nftables'], transparent: false },
  { name: 'TPROXY by iptables', flags: ['-m', 'TPROXY'], transparent: true },
  { name: 'TPROXY by nft', flags: ['-m', 'TPROXY', '--native-nftables'], transparent: true },
] as const;

for (const { name, flags, transparent } of VARIANTS) {
  test(`a payment passes both proxies of two pods: ${name}`, { skip, timeout: 60_000 }, async (t) => {
    const client = new Namespace(t);
    const server = new Namespace(t);
    connect(client, server, 81);
    await server.application(8080);
    await Promise.all([client.proxy(clientPod(ca)), server.proxy(serverPod(ca, transparent))]);
    const before = [client.rules(), server.rules()];

    for (const pod of [client, server]) {
      pod.redirect(...FLAGS, ...flags);
      const once = pod.rules();
      pod.redirect(...FLAGS, ...flags);
      assert.equal(pod.rules(), once, 'doing it again changed the rules');
    }
    for (const [family, source] of [
      [4, '127.0.0.6'],
      [6, '::6'],
    ] as const) {
      const answer = await client.get(PAYMENT[family]);
      assert.match(answer, /^200 /);
      const seen = JSON.parse(answer.slice(4));
      assert.match(seen.source, new RegExp(`;URI=${CLIENT}$`));
      assert.equal(String(seen.remoteAddress).replace('::ffff:', ''), source);
    }
    // One connection a payment at each proxy: nothing came back to where it had been.
    await client.counts('listener.payments.downstream_cx_total', 2);
    await client.counts('listener.virtualOutbound.downstream_cx_total', 0);
    await server.counts('listener.virtualInbound.downstream_cx_total', 2);

    for (const pod of [client, server]) pod.redirect(...flags, '--undo');
    assert.deepEqual([client.rules(), server.rules()], before);
    const direct = JSON.parse((await client.get(PAYMENT[4])).slice(4));
    assert.deepEqual([direct.source, direct.remoteAddress], ['', '::ffff:10.81.0.1']);
  });
}

test('what is not of the mesh passes, and what aims at the proxy ends', { skip, timeout: 60_000 }, async (t) => {
  const client = new Namespace(t);
  const remote = new Namespace(t);
  connect(client, remote, 82);
  await remote.application(9000);
  await remote.application(9001);
  await client.proxy(clientPod(ca));
  client.redirect(...FLAGS, '-o', '9001', '--dual-stack');
  for (const [host, from] of [
    ['10.82.0.2', '::ffff:10.82.0.1'],
    ['[fd00:82::2]', 'fd00:82::1'],
  ] as const) {
    const answer = await client.get(`http://${host}:9000/`);
    assert.equal(JSON.parse(answer.slice(4)).remoteAddress, from);
  }
  await client.counts('cluster.PassthroughCluster.upstream_cx_total', 2);
  assert.match(await client.get('http://10.82.0.2:9001/'), /^200 /);
  await client.counts('cluster.PassthroughCluster.upstream_cx_total', 2, 'an excluded port was taken');

  assert.match(await client.get('http://10.82.0.2:15001/'), /^failed (ECONNRESET|UND_ERR_SOCKET)/);
  await client.counts('cluster.BlackHoleCluster.upstream_cx_none_healthy', 1);
  // Nobody listens there: refused by the host, and the application learns it.
  assert.match(await client.get('http://10.82.0.2:9002/'), /^failed /);
});

test('what an application says to its own pod is left alone', { skip, timeout: 60_000 }, async (t) => {
  const pod = new Namespace(t);
  const other = new Namespace(t);
  connect(pod, other, 83);
  await pod.application(8081);
  await pod.proxy(clientPod(ca));
  pod.redirect(...FLAGS);
  assert.match(await pod.get('http://10.83.0.1:8081/'), /^200 .*10\.83\.0\.1/);
  assert.match(await pod.get('http://127.0.0.1:8081/'), /^200 .*127\.0\.0\.1/);
  await pod.counts('listener.virtualOutbound.downstream_cx_total', 0);
});

test("others' rules stay as they are", { skip, timeout: 60_000 }, (t) => {
  const pod = new Namespace(t);
  pod.run('iptables', '-t', 'nat', '-A', 'OUTPUT', '-p', 'tcp', '--dport', '1', '-j', 'REDIRECT', '--to-ports', '2');
  pod.run('iptables', '-t', 'nat', '-N', 'OTHERS');
  pod.run('ip', 'rule', 'add', 'fwmark', '7', 'lookup', '7');
  const before = pod.rules();
  for (const { flags } of VARIANTS)
    pod.redirect(...FLAGS, ...flags, '--redirect-dns', '--capture-all-dns', '--dual-stack');
  assert.notEqual(pod.rules(), before);
  pod.redirect('--undo');
  assert.equal(pod.rules(), before);
});
