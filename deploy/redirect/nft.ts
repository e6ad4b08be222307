/** A plan as input of `nft -f`: a table of our own a family, replaced or removed in one transaction. */
import type { Action, Chain, Hook, Match, Plan, Rule, Table } from './plan.ts';
import type { Family } from './settings.ts';

const TABLE = 'tollway';
const FAMILIES = { ipv4: 'ip', ipv6: 'ip6' } as const;
/** Those of the iptables tables: the order among others' rules is the same. */
const PRIORITIES: { readonly [table in Table]: number } = { raw: -300, mangle: -150, nat: -100 };

/** What `nft list tables` says of a table of ours. */
export const ownTable = (family: Family): string => `table ${FAMILIES[family]} ${TABLE}`;

/** Removing works whether the table is there or not. */
export function removeInput(family: Family): string {
  return `add ${ownTable(family)}\ndelete ${ownTable(family)}\n`;
}

export function replaceInput(plan: Plan): string {
  const lines = plan.chains.flatMap((chain) => [
    `  chain ${nameOf(chain.table, chain.name)} {`,
    ...(chain.hook === undefined ? [] : [`    ${hookText(chain, chain.hook)}`]),
    ...chain.rules.map((rule) => `    ${ruleText(rule, chain.table, plan.family)}`),
    '  }',
  ]);
  return `${removeInput(plan.family)}${ownTable(plan.family)} {\n${lines.join('\n')}\n}\n`;
}

const nameOf = (table: Table, chain: string): string => `${table}_${chain}`;

function hookText({ table }: Chain, hook: Hook): string {
  // marks of our own packets change their route
  const type = table === 'nat' ? 'nat' : table === 'mangle' && hook === 'OUTPUT' ? 'route' : 'filter';
  return `type ${type} hook ${hook.toLowerCase()} priority ${PRIORITIES[table]}; policy accept;`;
}

function ruleText({ match, action }: Rule, table: Table, family: Family): string {
  return [...matchWords(match, FAMILIES[family]), actionText(action, table)].join(' ');
}

function matchWords(match: Match, ip: 'ip' | 'ip6'): string[] {
  const words: string[] = [];
  const { protocol, notDestinationPorts: spared } = match;
  if (protocol !== undefined) words.push(`meta l4proto ${protocol}`);
  if (match.in !== undefined) words.push(`iifname "${match.in}"`);
  if (match.out !== undefined) words.push(`oifname "${match.out}"`);
  if (match.source !== undefined) words.push(`${ip} saddr ${match.source}`);
  if (match.destination !== undefined) words.push(`${ip} daddr ${match.destination}`);
  if (match.notDestination !== undefined) words.push(`${ip} daddr != ${match.notDestination}`);
  if (match.sourcePort !== undefined) words.push(`${protocol} sport ${match.sourcePort}`);
  if (match.destinationPort !== undefined) words.push(`${protocol} dport ${match.destinationPort}`);
  if (spared !== undefined) words.push(`${protocol} dport != { ${spared.join(', ')} }`);
  if (match.uid !== undefined) words.push(`meta skuid ${match.uid}`);
  if (match.notUid !== undefined) words.push(`meta skuid != ${match.notUid}`);
  if (match.gid !== undefined) words.push(`meta skgid ${match.gid}`);
  if (match.notGid !== undefined) words.push(`meta skgid != ${match.notGid}`);
  if (match.mark !== undefined) words.push(`meta mark ${match.mark}`);
  if (match.notMark !== undefined) words.push(`meta mark != ${match.notMark}`);
  if (match.connectionMark !== undefined) words.push(`ct mark ${match.connectionMark}`);
  if (match.state !== undefined)
    words.push(match.state === 'invalid' ? 'ct state invalid' : 'ct state established,related');
  return words;
}

function actionText(action: Action, table: Table): string {
  switch (action.kind) {
    case 'jump':
      return `jump ${nameOf(table, action.chain)}`;
    case 'redirect':
      return `redirect to :${action.port}`;
    case 'tproxy':
      return `tproxy to :${action.port} meta mark set ${action.mark} accept`;
    case 'set-mark':
      return `meta mark set ${action.mark}`;
    case 'zone':
      return `ct zone set ${action.zone}`;
    case 'save-mark':
      return 'ct mark set meta mark';
    case 'restore-mark':
      return 'meta mark set ct mark';
    default:
      return action.kind;
  }
}
