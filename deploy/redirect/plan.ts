/**
 * The pod's rules as data, from the settings alone. One plan a family; ./iptables.ts and ./nft.ts write it down. Each table has
 * chains of its own, into which one jump from each hook leads: taking them away leaves the rest as it was.
 */
import { type Family, familyOf, type Settings } from './settings.ts';

export type Table = 'raw' | 'mangle' | 'nat';
export type Hook = 'PREROUTING' | 'OUTPUT';

/** All that is given has to hold. */
export interface Match {
  readonly protocol?: 'tcp' | 'udp';
  readonly in?: string;
  readonly out?: string;
  readonly source?: string;
  readonly destination?: string;
  readonly notDestination?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly notDestinationPorts?: readonly number[];
  readonly uid?: number;
  readonly notUid?: number;
  readonly gid?: number;
  readonly notGid?: number;
  readonly mark?: number;
  readonly notMark?: number;
  readonly connectionMark?: number;
  readonly state?: 'established' | 'invalid';
}

export type Action =
  | { readonly kind: 'return' | 'accept' | 'drop' | 'save-mark' | 'restore-mark' }
  | { readonly kind: 'jump'; readonly chain: string }
  | { readonly kind: 'redirect'; readonly port: number }
  | { readonly kind: 'tproxy'; readonly port: number; readonly mark: number }
  | { readonly kind: 'set-mark'; readonly mark: number }
  /** Connection tracking keeps what the proxy asks apart from what applications ask. */
  | { readonly kind: 'zone'; readonly zone: number };

export interface Rule {
  readonly match: Match;
  readonly action: Action;
}

/** A chain with a hook is entered from there by a jump. */
export interface Chain {
  readonly table: Table;
  readonly name: string;
  readonly hook: Hook | undefined;
  readonly rules: readonly Rule[];
}

export interface Plan {
  readonly family: Family;
  readonly chains: readonly Chain[];
  /** Packets with the mark are delivered here whatever their destination: what TPROXY needs. */
  readonly localRoute: { readonly mark: number; readonly table: number } | undefined;
}

/** Every chain of ours begins so, and nobody else's. */
export const PREFIX = 'TOLLWAY_';
const REDIRECT = `${PREFIX}REDIRECT`;
const IN_REDIRECT = `${PREFIX}IN_REDIRECT`;
const INBOUND = `${PREFIX}INBOUND`;
const DIVERT = `${PREFIX}DIVERT`;

const DNS_PORT = 53;
const PROXY_ZONE = 1;
const POD_ZONE = 2;

const RETURN: Action = { kind: 'return' };
const jump = (chain: string): Action => ({ kind: 'jump', chain });
const rule = (match: Match, action: Action): Rule => ({ match, action });

export function planOf(settings: Settings, family: Family): Plan {
  const tproxy = settings.mode === 'tproxy' && isSet(settings.inbound);
  const chains = [
    ...rawChains(settings, family),
    ...(tproxy ? tproxyChains(settings, family) : []),
    ...invalidChain(settings, tproxy),
    ...natChains(settings, family, tproxy),
  ];
  const { tproxyMark: mark, routeTable: table } = settings;
  return {
    family,
    chains: chains.filter(({ rules }) => rules.length > 0),
    localRoute: tproxy ? { mark, table } : undefined,
  };
}

const isSet = (ports: Settings['inbound']): boolean => ports === 'all' || ports.length > 0;

/** The address of the pod to itself, and the one that the proxy speaks to the application from. */
function own(family: Family): { readonly loopback: string; readonly inboundSource: string } {
  return family === 'ipv4'
    ? { loopback: '127.0.0.1/32', inboundSource: '127.0.0.6/32' }
    : { loopback: '::1/128', inboundSource: '::6/128' };
}

const ofFamily = (ranges: readonly string[], family: Family): string[] =>
  ranges.filter((range) => familyOf(range) === family);

function natChains(settings: Settings, family: Family, tproxy: boolean): Chain[] {
  const { inboundPort, outboundPort, excludedInterfaces } = settings;
  const chain = (name: string, hook: Hook | undefined, rules: readonly Rule[]): Chain => ({
    table: 'nat',
    name,
    hook,
    rules,
  });
  const inbound = tproxy ? [] : inboundRules(settings, [jump(IN_REDIRECT)]);
  const prerouting = [
    ...excludedInterfaces.map((name) => rule({ in: name }, RETURN)),
    ...virtualRules(settings, family),
    ...(inbound.length > 0 ? [rule({ protocol: 'tcp' }, jump(INBOUND))] : []),
  ];
  return [
    chain(REDIRECT, undefined, [rule({ protocol: 'tcp' }, { kind: 'redirect', port: outboundPort })]),
    chain(IN_REDIRECT, undefined, [rule({ protocol: 'tcp' }, { kind: 'redirect', port: inboundPort })]),
    chain(INBOUND, undefined, inbound),
    chain(`${PREFIX}PREROUTING`, 'PREROUTING', prerouting),
    chain(`${PREFIX}OUTPUT`, 'OUTPUT', outputRules(settings, family)),
  ];
}

/** What comes in: the tunnel and excluded ports pass, then `actions` take the ports. */
function inboundRules(settings: Settings, actions: readonly Action[], established?: Action): Rule[] {
  const { inbound, inboundExcluded, tunnelPort } = settings;
  if (!isSet(inbound)) return [];
  const take = (match: Match): Rule[] => [
    ...(established === undefined ? [] : [rule({ ...match, state: 'established' }, established)]),
    ...actions.map((action) => rule(match, action)),
  ];
  const pass = (port: number) => rule({ protocol: 'tcp', destinationPort: port }, RETURN);
  if (inbound !== 'all') {
    return [pass(tunnelPort), ...inbound.flatMap((port) => take({ protocol: 'tcp', destinationPort: port }))];
  }
  return [pass(tunnelPort), ...inboundExcluded.map(pass), ...take({ protocol: 'tcp' })];
}

function virtualRules({ virtualInterfaces, outbound, outboundExcluded }: Settings, family: Family): Rule[] {
  return virtualInterfaces.flatMap((name) => [
    ...ofFamily(outboundExcluded, family).map((destination) => rule({ in: name, destination }, RETURN)),
    ...(outbound === 'all'
      ? [rule({ in: name }, jump(REDIRECT))]
      : ofFamily(outbound, family).map((destination) => rule({ in: name, destination }, jump(REDIRECT)))),
    rule({ in: name }, RETURN),
  ]);
}

/** The proxy's own traffic first: what it sends must not come back to it. */
function outputRules(settings: Settings, family: Family): Rule[] {
  const { dns, outbound, outboundExcluded, outboundPorts, outboundPortsExcluded, proxyMark } = settings;
  const { loopback, inboundSource } = own(family);
  const notTaken = settings.excludedInterfaces.map((name) => rule({ out: name }, RETURN));
  const tcp = (port: number): Match => ({ protocol: 'tcp', destinationPort: port });
  return [
    ...notTaken,
    ...(proxyMark === undefined ? [] : [rule({ mark: proxyMark }, RETURN)]),
    ...outboundPortsExcluded.map((port) => rule(tcp(port), RETURN)),
    rule({ out: 'lo', source: inboundSource }, RETURN),
    ...settings.uids.flatMap((id) => ownerRules(settings, loopback, { uid: id }, { notUid: id })),
    ...settings.gids.flatMap((id) => ownerRules(settings, loopback, { gid: id }, { notGid: id })),
    ...(dns === undefined ? [] : dnsRules(dns, family)),
    rule({ destination: loopback }, RETURN),
    ...ofFamily(outboundExcluded, family).map((destination) => rule({ destination }, RETURN)),
    ...outboundPorts.map((port) => rule(tcp(port), jump(REDIRECT))),
    ...(outbound === 'all'
      ? [rule({ protocol: 'tcp' }, jump(REDIRECT))]
      : ofFamily(outbound, family).map((destination) => rule({ protocol: 'tcp', destination }, jump(REDIRECT)))),
  ];
}

/**
 * What the proxy sends over loopback to an address of the pod is a call of the pod to itself, and inbound; what an application
 * sends over loopback stays with it; what the proxy sends anywhere else leaves.
 */
function ownerRules(settings: Settings, loopback: string, owner: Match, others: Match): Rule[] {
  const { dns, tunnelPort } = settings;
  const spared = dns === undefined ? [tunnelPort] : [DNS_PORT, tunnelPort];
  const toItself: Match = { protocol: 'tcp', out: 'lo', notDestination: loopback, notDestinationPorts: spared };
  const notDns: Match = dns === undefined ? {} : { protocol: 'tcp', notDestinationPorts: [DNS_PORT] };
  return [
    ...(isSet(settings.inbound) ? [rule({ ...toItself, ...owner }, jump(IN_REDIRECT))] : []),
    rule({ ...notDns, out: 'lo', ...others }, RETURN),
    rule(owner, RETURN),
  ];
}

type Dns = NonNullable<Settings['dns']>;

/** Empty: nothing of the family; one without addresses: whatever it goes to. */
function servers(dns: Dns, family: Family): (string | undefined)[] {
  return dns.servers === 'all' ? [undefined] : ofFamily(dns.servers, family);
}

function dnsRules(dns: Dns, family: Family): Rule[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) =>
    servers(dns, family).map((destination) =>
      rule(
        { protocol, ...(destination === undefined ? {} : { destination }), destinationPort: DNS_PORT },
        {
          kind: 'redirect',
          port: dns.port,
        },
      ),
    ),
  );
}

function rawChains(settings: Settings, family: Family): Chain[] {
  const { dns } = settings;
  if (dns === undefined) return [];
  const zone = (number: number): Action => ({ kind: 'zone', zone: number });
  const owners: Match[] = [...settings.uids.map((uid) => ({ uid })), ...settings.gids.map((gid) => ({ gid }))];
  const output = [
    ...owners.flatMap((owner) => [
      rule({ protocol: 'udp', destinationPort: DNS_PORT, ...owner }, zone(PROXY_ZONE)),
      rule({ protocol: 'udp', sourcePort: dns.port, ...owner }, zone(POD_ZONE)),
    ]),
    ...servers(dns, family).map((destination) =>
      rule(
        { protocol: 'udp', ...(destination === undefined ? {} : { destination }), destinationPort: DNS_PORT },
        zone(POD_ZONE),
      ),
    ),
  ];
  const prerouting = servers(dns, family).map((source) =>
    rule({ protocol: 'udp', ...(source === undefined ? {} : { source }), sourcePort: DNS_PORT }, zone(PROXY_ZONE)),
  );
  return [
    { table: 'raw', name: `${PREFIX}OUTPUT`, hook: 'OUTPUT', rules: output },
    { table: 'raw', name: `${PREFIX}PREROUTING`, hook: 'PREROUTING', rules: prerouting },
  ];
}

/** The packet keeps both its addresses; a mark takes it to the local route, and the connection's answers with it. */
function tproxyChains(settings: Settings, family: Family): Chain[] {
  const { inboundPort: port, tproxyMark: mark } = settings;
  const { loopback, inboundSource } = own(family);
  const chain = (name: string, hook: Hook | undefined, rules: readonly Rule[]): Chain => ({
    table: 'mangle',
    name,
    hook,
    rules,
  });
  const take = jump(`${PREFIX}TPROXY`);
  return [
    chain(DIVERT, undefined, [rule({}, { kind: 'set-mark', mark }), rule({}, { kind: 'accept' })]),
    chain(`${PREFIX}TPROXY`, undefined, [
      rule({ protocol: 'tcp', notDestination: loopback }, { kind: 'tproxy', port, mark }),
    ]),
    chain(INBOUND, undefined, [
      rule({ protocol: 'tcp', mark }, RETURN),
      rule({ protocol: 'tcp', source: inboundSource, in: 'lo' }, RETURN),
      rule({ protocol: 'tcp', in: 'lo' }, RETURN),
      ...inboundRules(settings, [take], jump(DIVERT)),
    ]),
    chain(`${PREFIX}PREROUTING`, 'PREROUTING', [
      ...(settings.dropInvalid ? [rule({ state: 'invalid' }, { kind: 'drop' })] : []),
      ...settings.excludedInterfaces.map((name) => rule({ in: name }, RETURN)),
      ...settings.virtualInterfaces.map((name) => rule({ in: name }, RETURN)),
      rule({ protocol: 'tcp' }, jump(INBOUND)),
      rule({ protocol: 'tcp', mark }, { kind: 'save-mark' }),
    ]),
    chain(`${PREFIX}OUTPUT`, 'OUTPUT', [
      ...settings.excludedInterfaces.map((name) => rule({ out: name }, RETURN)),
      rule({ protocol: 'tcp', out: 'lo', mark }, RETURN),
      rule({ protocol: 'tcp', connectionMark: mark }, { kind: 'restore-mark' }),
    ]),
  ];
}

function invalidChain({ dropInvalid }: Settings, tproxy: boolean): Chain[] {
  if (!dropInvalid || tproxy) return [];
  const rules = [rule({ state: 'invalid' }, { kind: 'drop' })];
  return [{ table: 'mangle', name: `${PREFIX}PREROUTING`, hook: 'PREROUTING', rules }];
}
