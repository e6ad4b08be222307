/** A plan as input of `iptables-restore --noflush`: one transaction a family that takes the old rules away and puts the new ones. */
import { type Action, type Chain, type Match, type Plan, PREFIX, type Rule, type Table } from './plan.ts';

const TABLES: readonly Table[] = ['raw', 'mangle', 'nat'];

/** `saved`: what `iptables-save` says now. Empty when there is nothing to do. */
export function restoreInput(plan: Plan | undefined, saved: string): string {
  const before = ownParts(saved);
  return TABLES.map((table) =>
    tableInput(table, plan?.chains.filter((one) => one.table === table) ?? [], before.get(table)),
  )
    .filter((text) => text !== '')
    .join('');
}

function tableInput(table: Table, chains: readonly Chain[], before: Own | undefined): string {
  const gone = [...(before?.chains ?? [])].filter((name) => !chains.some((chain) => chain.name === name));
  // a chain that is named is made, or emptied where it is there
  const named = [...gone, ...chains.map(({ name }) => name)];
  if (named.length === 0) return '';
  const lines = [
    `*${table}`,
    ...named.map((name) => `:${name} - [0:0]`),
    ...(before?.jumps ?? []).map((jump) => `-D ${jump}`),
    ...gone.map((name) => `-X ${name}`),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => `-A ${name}${ruleText(rule)}`)),
    ...chains.flatMap(({ name, hook }) => (hook === undefined ? [] : [`-A ${hook} -j ${name}`])),
    'COMMIT',
  ];
  return `${lines.join('\n')}\n`;
}

interface Own {
  readonly chains: Set<string>;
  /** `OUTPUT -j TOLLWAY_OUTPUT`: in chains of others. */
  readonly jumps: string[];
}

/** What of `iptables-save`'s text is ours. */
function ownParts(saved: string): Map<string, Own> {
  const tables = new Map<string, Own>();
  let current: Own = { chains: new Set(), jumps: [] };
  for (const line of saved.split('\n')) {
    const [, table] = /^\*(\w+)/.exec(line) ?? [];
    if (table !== undefined) {
      current = { chains: new Set(), jumps: [] };
      tables.set(table, current);
    }
    const [, chain] = /^:(\S+) /.exec(line) ?? [];
    if (chain?.startsWith(PREFIX)) current.chains.add(chain);
    const [, jump, from] = /^(?:\[\d+:\d+\] )?-A ((\S+) .*-j (?:TOLLWAY_\S+).*)$/.exec(line) ?? [];
    if (jump !== undefined && from?.startsWith(PREFIX) === false) current.jumps.push(jump);
  }
  return tables;
}

function ruleText({ match, action }: Rule): string {
  return [...matchWords(match), ...actionWords(action)].map((word) => ` ${word}`).join('');
}

function matchWords(match: Match): string[] {
  const words: string[] = [];
  const { notDestinationPorts: spared } = match;
  if (match.source !== undefined) words.push(`-s ${match.source}`);
  if (match.destination !== undefined) words.push(`-d ${match.destination}`);
  if (match.notDestination !== undefined) words.push(`! -d ${match.notDestination}`);
  if (match.in !== undefined) words.push(`-i ${match.in}`);
  if (match.out !== undefined) words.push(`-o ${match.out}`);
  if (match.protocol !== undefined) words.push(`-p ${match.protocol}`);
  if (match.sourcePort !== undefined) words.push(`--sport ${match.sourcePort}`);
  if (match.destinationPort !== undefined) words.push(`--dport ${match.destinationPort}`);
  if (spared?.length === 1) words.push(`! --dport ${spared[0]}`);
  else if (spared !== undefined) words.push(`-m multiport ! --dports ${spared.join(',')}`);
  if (match.uid !== undefined) words.push(`-m owner --uid-owner ${match.uid}`);
  if (match.notUid !== undefined) words.push(`-m owner ! --uid-owner ${match.notUid}`);
  if (match.gid !== undefined) words.push(`-m owner --gid-owner ${match.gid}`);
  if (match.notGid !== undefined) words.push(`-m owner ! --gid-owner ${match.notGid}`);
  if (match.mark !== undefined) words.push(`-m mark --mark ${match.mark}`);
  if (match.notMark !== undefined) words.push(`-m mark ! --mark ${match.notMark}`);
  if (match.connectionMark !== undefined) words.push(`-m connmark --mark ${match.connectionMark}`);
  if (match.state !== undefined) words.push(`-m conntrack --ctstate ${STATES[match.state]}`);
  return words;
}

const STATES = { established: 'RELATED,ESTABLISHED', invalid: 'INVALID' } as const;

function actionWords(action: Action): string[] {
  switch (action.kind) {
    case 'jump':
      return [`-j ${action.chain}`];
    case 'redirect':
      return [`-j REDIRECT --to-ports ${action.port}`];
    case 'tproxy':
      return [`-j TPROXY --on-port ${action.port} --tproxy-mark ${action.mark}/0xffffffff`];
    case 'set-mark':
      return [`-j MARK --set-mark ${action.mark}`];
    case 'zone':
      return [`-j CT --zone ${action.zone}`];
    case 'save-mark':
      return ['-j CONNMARK --save-mark'];
    case 'restore-mark':
      return ['-j CONNMARK --restore-mark'];
    default:
      return [`-j ${action.kind.toUpperCase()}`];
  }
}
