/** The command line: the names of `istio-iptables`, so that templates that call it can call this. */
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { type Family, familyOf, type Settings } from './settings.ts';

export interface Command {
  readonly settings: Settings;
  readonly undo: boolean;
  readonly dryRun: boolean;
  readonly skip: boolean;
  readonly backend: 'iptables' | 'nft' | undefined;
  /** `legacy` or `nft`: which iptables, where there are two. */
  readonly variant: string | undefined;
  /** A path under /proc or /run; `undefined`: where the command runs. */
  readonly namespace: string | undefined;
}

/** What the machine says, for what the command line does not. */
export interface Surroundings {
  readonly hasIpv6: boolean;
  /** Of /etc/resolv.conf; asked for with `--redirect-dns` alone. */
  readonly nameServers: () => readonly string[];
}

interface Flag {
  readonly short?: string;
  readonly kind: 'value' | 'switch';
  readonly help: string;
}

const value = (help: string, short?: string): Flag => ({
  kind: 'value',
  help,
  ...(short === undefined ? {} : { short }),
});
const turn = (help: string, short?: string): Flag => ({ ...value(help, short), kind: 'switch' });
const NOTHING = 'taken for the sake of templates; does nothing here';

const FLAGS: { readonly [name: string]: Flag } = {
  'envoy-port': value('where outbound connections go (15001)', 'p'),
  'inbound-capture-port': value('where inbound connections go (15006)', 'z'),
  'inbound-tunnel-port': value('the port of tunnels between proxies, left alone (15008)', 'e'),
  'proxy-uid': value("users whose traffic is the proxy's own, by number, with commas (1337)", 'u'),
  'proxy-gid': value("groups whose traffic is the proxy's own (as -u)", 'g'),
  'proxy-mark': value("mark of the proxy's own sockets, where it sets one"),
  'istio-inbound-interception-mode': value('REDIRECT or TPROXY (REDIRECT)', 'm'),
  'istio-inbound-ports': value('inbound ports to take, with commas; * for all; none when empty', 'b'),
  'istio-local-exclude-ports': value('inbound ports to leave alone, with -b *', 'd'),
  'istio-service-cidr': value('outbound ranges to take, with commas; * for all; none when empty', 'i'),
  'istio-service-exclude-cidr': value('outbound ranges to leave alone', 'x'),
  'istio-outbound-ports': value('outbound ports to take whatever the range', 'q'),
  'istio-local-outbound-ports-exclude': value('outbound ports to leave alone', 'o'),
  'kube-virt-interfaces': value('interfaces of virtual machines, whose traffic is outbound', 'k'),
  'istio-exclude-interfaces': value('interfaces to leave alone', 'c'),
  'istio-inbound-tproxy-mark': value('mark of packets for TPROXY (1337)', 't'),
  'istio-inbound-tproxy-route-table': value('table of the route of marked packets (133)', 'r'),
  'redirect-dns': turn('take DNS to 15053'),
  'capture-all-dns': turn('with --redirect-dns: to whatever server, not only those of /etc/resolv.conf'),
  'drop-invalid': turn('drop packets that connection tracking calls invalid'),
  'dual-stack': turn('IPv6 too, whether the pod has an address of it or not'),
  'native-nftables': turn('write rules with nft instead of iptables'),
  'force-iptables-binary': value('legacy or nft: which iptables, where there are two'),
  'network-namespace': value('path of the network namespace to work in'),
  'skip-rule-apply': turn('change nothing'),
  'dry-run': turn('print what would be done and do nothing', 'n'),
  undo: turn('remove all that this command made, and nothing else'),
  cleanup: turn('the same as --undo'),
  help: turn('this text', 'h'),
  'restore-format': turn(NOTHING, 'f'),
  'iptables-trace-logging': turn(NOTHING),
  'iptables-probe-port': value(NOTHING),
  'probe-timeout': value(NOTHING),
  'run-validation': turn(NOTHING),
  'cni-mode': turn(NOTHING),
  'host-nsenter-exec': turn(NOTHING),
};

export function usage(): string {
  const lines = Object.entries(FLAGS).map(([name, { short, help }]) => {
    const names = `${short === undefined ? '   ' : `-${short},`} --${name}`;
    return `  ${names.padEnd(46)}${help}\n`;
  });
  return `tollway redirect: sets and removes the rules that bring a pod's traffic to its proxy\n\n${lines.join('')}`;
}

/** Throws an `Error` that names the flag. */
export function parseFlags(argv: readonly string[], around: Surroundings): Command | 'help' {
  const options = Object.fromEntries(
    Object.entries(FLAGS).map(([name, { kind, short }]) => [
      name,
      {
        type: kind === 'switch' ? ('boolean' as const) : ('string' as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  const { values } = parseArgs({ args: argv.map(plainSwitch), options, strict: true });
  const on = (name: string): boolean => values[name] === true;
  const text = (name: string): string | undefined => {
    const given = values[name];
    return typeof given === 'string' && given.trim() !== '' ? given.trim() : undefined;
  };
  if (on('help')) return 'help';
  const variant = text('force-iptables-binary');
  if (variant !== undefined && variant !== 'legacy' && variant !== 'nft') {
    throw new Error(`--force-iptables-binary "${variant}" is neither legacy nor nft`);
  }
  return {
    settings: settingsOf(text, on, around),
    undo: on('undo') || on('cleanup'),
    dryRun: on('dry-run'),
    skip: on('skip-rule-apply'),
    backend: on('native-nftables') ? 'nft' : variant === undefined ? undefined : 'iptables',
    variant,
    namespace: text('network-namespace'),
  };
}

/** Templates write `--dry-run=true`. What is false is left out as an empty argument's switch would be. */
function plainSwitch(argument: string): string {
  const [, name = '', given] = /^--([\w-]+)=(true|false)$/.exec(argument) ?? [];
  if (FLAGS[name]?.kind !== 'switch') return argument;
  return given === 'true' ? `--${name}` : '--restore-format';
}

type Text = (name: string) => string | undefined;

function settingsOf(text: Text, on: (name: string) => boolean, around: Surroundings): Settings {
  const one = (name: string, otherwise: number, to = 65_535) =>
    numbers(name, text(name) ?? String(otherwise), to)[0] ?? 0;
  const ports = (name: string) => numbers(name, text(name) ?? '', 65_535);
  const uids = numbers('proxy-uid', text('proxy-uid') ?? '1337', 0xffff_ffff, 0);
  const gids = text('proxy-gid') === undefined ? uids : numbers('proxy-gid', text('proxy-gid') ?? '', 0xffff_ffff, 0);
  const families: Family[] = around.hasIpv6 || on('dual-stack') ? ['ipv4', 'ipv6'] : ['ipv4'];
  const mode = (text('istio-inbound-interception-mode') ?? 'REDIRECT').toUpperCase();
  if (mode !== 'REDIRECT' && mode !== 'TPROXY') {
    throw new Error(`--istio-inbound-interception-mode "${mode}" is neither REDIRECT nor TPROXY`);
  }
  return {
    families,
    mode: mode === 'TPROXY' ? 'tproxy' : 'redirect',
    outboundPort: one('envoy-port', 15_001),
    inboundPort: one('inbound-capture-port', 15_006),
    tunnelPort: one('inbound-tunnel-port', 15_008),
    uids,
    gids,
    proxyMark: text('proxy-mark') === undefined ? undefined : one('proxy-mark', 0, 0xffff_ffff),
    inbound: text('istio-inbound-ports') === '*' ? 'all' : ports('istio-inbound-ports'),
    inboundExcluded: ports('istio-local-exclude-ports'),
    outbound: text('istio-service-cidr') === '*' ? 'all' : ranges('istio-service-cidr', text),
    outboundExcluded: ranges('istio-service-exclude-cidr', text),
    outboundPorts: ports('istio-outbound-ports'),
    outboundPortsExcluded: ports('istio-local-outbound-ports-exclude'),
    virtualInterfaces: interfaces('kube-virt-interfaces', text),
    excludedInterfaces: interfaces('istio-exclude-interfaces', text),
    tproxyMark: one('istio-inbound-tproxy-mark', 1337, 0xffff_ffff),
    routeTable: one('istio-inbound-tproxy-route-table', 133, 0xffff_ffff),
    dns: on('redirect-dns')
      ? { port: 15_053, servers: on('capture-all-dns') ? 'all' : [...around.nameServers()] }
      : undefined,
    dropInvalid: on('drop-invalid'),
  };
}

const parts = (list: string): string[] =>
  list
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

function numbers(name: string, list: string, to: number, from = 1): number[] {
  return parts(list).map((part) => {
    const number = /^(0x[\da-f]+|\d+)$/i.test(part) ? Number(part) : Number.NaN;
    if (number >= from && number <= to) return number;
    throw new Error(`--${name} "${part}" is no number from ${from} to ${to}`);
  });
}

function ranges(name: string, text: Text): string[] {
  return parts(text(name) ?? '').map((part) => {
    const [address = '', length = familyOf(part) === 'ipv4' ? '32' : '128', more] = part.split('/');
    const most = familyOf(part) === 'ipv4' ? 32 : 128;
    const fits = isIP(address) !== 0 && /^\d+$/.test(length) && Number(length) <= most && more === undefined;
    if (!fits) throw new Error(`--${name} "${part}" is no range such as 10.0.0.0/8`);
    return `${address}/${length}`;
  });
}

/** They go into rules as they are: nothing but what Linux lets a name be in practice. */
function interfaces(name: string, text: Text): string[] {
  return parts(text(name) ?? '').map((part) => {
    if (/^[\w.:@-]{1,15}\+?$/.test(part)) return part;
    throw new Error(`--${name} "${part}" is no interface's name`);
  });
}
