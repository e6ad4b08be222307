import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseFlags, usage } from '../../deploy/redirect/flags.ts';
import { restoreInput } from '../../deploy/redirect/iptables.ts';
import { replaceInput } from '../../deploy/redirect/nft.ts';
import { type Plan, planOf } from '../../deploy/redirect/plan.ts';
import type { Family, Settings } from '../../deploy/redirect/settings.ts';
import { NO_STATE, stepsOf } from '../../deploy/redirect/steps.ts';

const around = { hasIpv6: false, nameServers: () => ['10.0.0.53', 'fd00::53'] };

function command(...argv: string[]) {
  const parsed = parseFlags(argv, around);
  assert.ok(parsed !== 'help');
  return parsed;
}
const settings = (...argv: string[]): Settings => command(...argv).settings;
const ALL = ['-b', '*', '-i', '*'];

function plan(argv: readonly string[], family: Family = 'ipv4'): Plan {
  return planOf(settings(...argv), family);
}
/** The rules of a chain as iptables has them, without the chain's name. */
function chain(name: string, argv: readonly string[], family: Family = 'ipv4', table = 'nat'): string[] {
  const text = restoreInput(plan(argv, family), '');
  const lines = (text.split(`*${table}\n`)[1] ?? '').split('COMMIT')[0] ?? '';
  return lines.split('\n').flatMap((line) => line.split(`-A TOLLWAY_${name} `)[1] ?? []);
}

describe('flags', () => {
  it("are istio-iptables', with its defaults", () => {
    const { outboundPort, inboundPort, uids, gids, mode, inbound, outbound, families } = settings();
    assert.deepEqual([outboundPort, inboundPort, uids, gids, mode], [15_001, 15_006, [1337], [1337], 'redirect']);
    assert.deepEqual([inbound, outbound, families], [[], [], ['ipv4']]);
    const args = '-p 1 -z 2 -u 3,4 -g 5 -m TPROXY -b 80,81 -d 82 -i 10.0.0.0/8 -o 83 -q 84 -t 0x10 -r 9 -e 85'.split(
      ' ',
    );
    const given = settings(...args, '-x', '', '-k', 'eth1', '-c', 'eth2', '--redirect-dns=true', '--dual-stack');
    assert.deepEqual([given.outboundPort, given.inboundPort, given.uids, given.gids], [1, 2, [3, 4], [5]]);
    assert.deepEqual([given.inbound, given.inboundExcluded, given.outbound], [[80, 81], [82], ['10.0.0.0/8']]);
    assert.deepEqual([given.outboundPortsExcluded, given.outboundPorts, given.tunnelPort], [[83], [84], 85]);
    assert.deepEqual([given.tproxyMark, given.routeTable, given.outboundExcluded], [16, 9, []]);
    assert.deepEqual(given.dns, { port: 15_053, servers: ['10.0.0.53', 'fd00::53'] });
    assert.deepEqual([given.virtualInterfaces, given.excludedInterfaces], [['eth1'], ['eth2']]);
    assert.deepEqual(given.families, ['ipv4', 'ipv6']);
  });

  it('that templates pass and that mean nothing are taken', () => {
    const given = command('--run-validation', '--iptables-probe-port', '1', '--dry-run=false', '--cleanup', '-f');
    assert.deepEqual([given.undo, given.dryRun], [true, false]);
    assert.match(usage(), /-b, --istio-inbound-ports/);
  });

  it('are refused with the value that is wrong', () => {
    assert.throws(() => settings('-b', '80,http'), /--istio-inbound-ports "http" is no number from 1 to 65535/);
    assert.throws(() => settings('-i', '10.0.0.0/40'), /"10.0.0.0\/40" is no range/);
    assert.throws(() => settings('-i', 'fd00::/129'), /is no range/);
    assert.throws(() => settings('-c', 'eth0; reboot'), /is no interface's name/);
    assert.throws(() => settings('-m', 'NONE'), /neither REDIRECT nor TPROXY/);
    assert.throws(() => settings('--no-such'), /no-such/);
  });
});

describe('rules', () => {
  it("let the proxy's own traffic leave before anything is taken", () => {
    assert.deepEqual(chain('OUTPUT', ALL), [
      '-s 127.0.0.6/32 -o lo -j RETURN',
      '! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j TOLLWAY_IN_REDIRECT',
      '-o lo -m owner ! --uid-owner 1337 -j RETURN',
      '-m owner --uid-owner 1337 -j RETURN',
      '! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j TOLLWAY_IN_REDIRECT',
      '-o lo -m owner ! --gid-owner 1337 -j RETURN',
      '-m owner --gid-owner 1337 -j RETURN',
      '-d 127.0.0.1/32 -j RETURN',
      '-p tcp -j TOLLWAY_REDIRECT',
    ]);
    assert.equal(chain('OUTPUT', [...ALL, '--proxy-mark', '7'])[0], '-m mark --mark 7 -j RETURN');
  });

  it('take the inbound ports that are asked for', () => {
    assert.deepEqual(chain('INBOUND', ['-b', '*', '-d', '22']), [
      '-p tcp --dport 15008 -j RETURN',
      '-p tcp --dport 22 -j RETURN',
      '-p tcp -j TOLLWAY_IN_REDIRECT',
    ]);
    assert.deepEqual(chain('INBOUND', ['-b', '80,81', '-d', '22']).slice(1), [
      '-p tcp --dport 80 -j TOLLWAY_IN_REDIRECT',
      '-p tcp --dport 81 -j TOLLWAY_IN_REDIRECT',
    ]);
    assert.deepEqual(chain('INBOUND', ['-i', '*']), []);
  });

  it('take each family by its own ranges', () => {
    const argv = ['-i', '10.0.0.0/8,fd00::/8', '-x', '10.1.0.0/16', '-q', '9', '-o', '7'];
    assert.equal(chain('OUTPUT', argv)[0], '-p tcp --dport 7 -j RETURN');
    assert.deepEqual(chain('OUTPUT', argv).slice(-3), [
      '-d 10.1.0.0/16 -j RETURN',
      '-p tcp --dport 9 -j TOLLWAY_REDIRECT',
      '-d 10.0.0.0/8 -p tcp -j TOLLWAY_REDIRECT',
    ]);
    assert.deepEqual(chain('OUTPUT', argv, 'ipv6').slice(-2), [
      '-p tcp --dport 9 -j TOLLWAY_REDIRECT',
      '-d fd00::/8 -p tcp -j TOLLWAY_REDIRECT',
    ]);
  });

  it('leave interfaces alone, and take virtual machines for applications', () => {
    assert.deepEqual(chain('PREROUTING', [...ALL, '-c', 'eth9', '-k', 'tap0']), [
      '-i eth9 -j RETURN',
      '-i tap0 -j TOLLWAY_REDIRECT',
      '-i tap0 -j RETURN',
      '-p tcp -j TOLLWAY_INBOUND',
    ]);
    assert.equal(chain('OUTPUT', [...ALL, '-c', 'eth9'])[0], '-o eth9 -j RETURN');
  });

  it('take DNS of the name servers, or all of it', () => {
    const dns = (argv: string[], family: Family) =>
      chain('OUTPUT', argv, family).filter((rule) => rule.includes('15053'));
    assert.deepEqual(dns([...ALL, '--redirect-dns'], 'ipv6'), [
      '-d fd00::53 -p tcp --dport 53 -j REDIRECT --to-ports 15053',
      '-d fd00::53 -p udp --dport 53 -j REDIRECT --to-ports 15053',
    ]);
    assert.deepEqual(dns([...ALL, '--redirect-dns', '--capture-all-dns'], 'ipv4'), [
      '-p tcp --dport 53 -j REDIRECT --to-ports 15053',
      '-p udp --dport 53 -j REDIRECT --to-ports 15053',
    ]);
    assert.ok(
      chain('OUTPUT', [...ALL, '--redirect-dns'], 'ipv4', 'raw').some((rule) => rule.endsWith('-j CT --zone 2')),
    );
  });

  it('with TPROXY keep both addresses and mark what goes to the local route', () => {
    const argv = [...ALL, '-m', 'TPROXY', '-d', '22'];
    assert.deepEqual(chain('TPROXY', argv, 'ipv6', 'mangle'), [
      '! -d ::1/128 -p tcp -j TPROXY --on-port 15006 --tproxy-mark 1337/0xffffffff',
    ]);
    assert.deepEqual(chain('INBOUND', argv, 'ipv4', 'mangle').slice(3), [
      '-p tcp --dport 15008 -j RETURN',
      '-p tcp --dport 22 -j RETURN',
      '-p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j TOLLWAY_DIVERT',
      '-p tcp -j TOLLWAY_TPROXY',
    ]);
    assert.deepEqual(plan(argv).localRoute, { mark: 1337, table: 133 });
    assert.equal(plan(ALL).localRoute, undefined);
  });

  it('say the same to nft', () => {
    const text = replaceInput(plan([...ALL, '-m', 'TPROXY', '--redirect-dns'], 'ipv6'));
    assert.match(text, /^add table ip6 tollway\ndelete table ip6 tollway\ntable ip6 tollway \{/);
    assert.match(text, /meta l4proto tcp ip6 daddr != ::1\/128 tproxy to :15006 meta mark set 1337 accept/);
    assert.match(
      text,
      /meta l4proto tcp oifname "lo" ip6 daddr != ::1\/128 tcp dport != \{ 53, 15008 \} meta skuid 1337/,
    );
    assert.match(text, /type route hook output priority -150; policy accept;/);
    assert.doesNotMatch(text, /undefined/);
  });
});

describe('steps', () => {
  const saved = `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:OTHER - [0:0]
:TOLLWAY_OLD - [0:0]
:TOLLWAY_OUTPUT - [0:0]
-A PREROUTING -p tcp -j OTHER
-A OUTPUT -j TOLLWAY_OUTPUT
-A OUTPUT -p tcp -j TOLLWAY_OLD
-A TOLLWAY_OUTPUT -p tcp -j TOLLWAY_OLD
COMMIT
`;
  const state = { ...NO_STATE, rules: saved, routeRules: '1:\tfrom all fwmark 0x539 lookup 133\n' };
  const how = { backend: 'iptables', variant: undefined } as const;

  it('take what is there away in the transaction that sets the new', () => {
    const [, , { command: words, input } = assert.fail()] = stepsOf(settings(...ALL), 'ipv4', state, {
      ...how,
      undo: false,
    });
    assert.deepEqual(words, ['iptables-restore', '--noflush', '--wait']);
    assert.match(input ?? '', /-D OUTPUT -j TOLLWAY_OUTPUT\n-D OUTPUT -p tcp -j TOLLWAY_OLD\n-X TOLLWAY_OLD\n/);
    assert.match(input ?? '', /-A OUTPUT -j TOLLWAY_OUTPUT\nCOMMIT\n$/);
  });

  it('undo all that is ours and nothing else', () => {
    const steps = stepsOf(settings(), 'ipv4', { ...state, tables: 'table ip tollway\n' }, { ...how, undo: true });
    assert.deepEqual(
      steps.map(({ command: words }) => words.join(' ')),
      [
        'ip -4 route del local 0.0.0.0/0 dev lo table 133',
        'ip -4 rule del fwmark 1337 lookup 133',
        'iptables-restore --noflush --wait',
        'nft -f -',
      ],
    );
    assert.equal(
      steps[2]?.input,
      '*nat\n:TOLLWAY_OLD - [0:0]\n:TOLLWAY_OUTPUT - [0:0]\n-D OUTPUT -j TOLLWAY_OUTPUT\n' +
        '-D OUTPUT -p tcp -j TOLLWAY_OLD\n-X TOLLWAY_OLD\n-X TOLLWAY_OUTPUT\nCOMMIT\n',
    );
    assert.deepEqual(stepsOf(settings(), 'ipv6', NO_STATE, { ...how, undo: true }), []);
  });

  it('add the route rule of TPROXY once', () => {
    const tproxy = settings(...ALL, '-m', 'TPROXY');
    const first = (routeRules: string) => stepsOf(tproxy, 'ipv4', { ...state, routeRules }, { ...how, undo: false })[0];
    assert.equal(first('')?.command.join(' '), 'ip -4 rule add fwmark 1337 lookup 133');
    assert.equal(first(state.routeRules)?.command.join(' '), 'ip -4 route replace local 0.0.0.0/0 dev lo table 133');
  });
});
