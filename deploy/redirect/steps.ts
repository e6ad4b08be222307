/** What has to be run, from the plan and from what there is. Pure: ./main.ts runs it, or prints it. */
import { restoreInput } from './iptables.ts';
import { ownTable, removeInput, replaceInput } from './nft.ts';
import { type Plan, PREFIX, planOf } from './plan.ts';
import type { Family, Settings } from './settings.ts';

export type Backend = 'iptables' | 'nft';

export interface Step {
  readonly command: readonly string[];
  readonly input?: string;
  /** Run before any step changes something: whether this one would be taken. */
  readonly rehearsal?: readonly string[];
}

/** What a family has now; empty texts where there is nothing, or nobody to ask. */
export interface State {
  /** `iptables-save`. */
  readonly rules: string;
  /** `nft list tables`. */
  readonly tables: string;
  /** `ip rule list`. */
  readonly routeRules: string;
  /** `ip addr show dev lo`. */
  readonly loopback: string;
}

export const NO_STATE: State = { rules: '', tables: '', routeRules: '', loopback: '' };

/** `iptables-legacy-restore` and the like. */
export function iptablesProgram(family: Family, variant: string | undefined, what: 'restore' | 'save'): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}${variant === undefined ? '' : `-${variant}`}-${what}`;
}

/** Sets the rules, whatever of ours is there, or with `undo` removes them. */
export function stepsOf(
  settings: Settings,
  family: Family,
  state: State,
  {
    backend,
    variant,
    undo,
  }: { readonly backend: Backend; readonly variant: string | undefined; readonly undo: boolean },
): Step[] {
  const plan = undo ? undefined : planOf(settings, family);
  const iptables = restoreInput(backend === 'iptables' ? plan : undefined, state.rules);
  const steps: Step[] = [];
  if (iptables !== '') {
    const command = [iptablesProgram(family, variant, 'restore'), '--noflush', '--wait'];
    steps.push({ command, input: iptables, rehearsal: [...command, '--test'] });
  }
  const nft = nftInput(backend === 'nft' ? plan : undefined, family, state);
  if (nft !== '') steps.push({ command: ['nft', '-f', '-'], input: nft, rehearsal: ['nft', '-c', '-f', '-'] });
  return [...sourceSteps(family, plan, state), ...routeSteps(settings, family, plan, state), ...steps];
}

/** The address that the proxy speaks to the application from: of IPv4's loopback network, but of nobody in IPv6. */
function sourceSteps(family: Family, plan: Plan | undefined, state: State): Step[] {
  if (family === 'ipv4') return [];
  const there = /\b(?:inet6 )::6\/128/.test(state.loopback);
  const ours = state.rules.includes(PREFIX) || hasOwnTable(family, state);
  const wanted = plan?.chains.some(({ name }) => name.endsWith('_INBOUND')) === true;
  const address = ['::6/128', 'dev', 'lo'];
  if (wanted && !there) return [{ command: ['ip', '-6', 'addr', 'add', ...address, 'nodad'] }];
  return !wanted && there && ours ? [{ command: ['ip', '-6', 'addr', 'del', ...address] }] : [];
}

const hasOwnTable = (family: Family, state: State): boolean =>
  state.tables.split('\n').some((line) => line.trim() === ownTable(family));

function nftInput(plan: Plan | undefined, family: Family, state: State): string {
  if (plan !== undefined && plan.chains.length > 0) return replaceInput(plan);
  return hasOwnTable(family, state) ? removeInput(family) : '';
}

function routeSteps(
  { tproxyMark, routeTable }: Settings,
  family: Family,
  plan: Plan | undefined,
  state: State,
): Step[] {
  const ip = ['ip', family === 'ipv4' ? '-4' : '-6'];
  const rule = ['fwmark', String(tproxyMark), 'lookup', String(routeTable)];
  const route = ['local', family === 'ipv4' ? '0.0.0.0/0' : '::/0', 'dev', 'lo', 'table', String(routeTable)];
  const listed = new RegExp(`fwmark 0x${tproxyMark.toString(16)} lookup ${routeTable}\\s*$`, 'm');
  const there = listed.test(state.routeRules);
  if (plan?.localRoute !== undefined) {
    const add = there ? [] : [{ command: [...ip, 'rule', 'add', ...rule] }];
    return [...add, { command: [...ip, 'route', 'replace', ...route] }];
  }
  if (!there) return [];
  return [{ command: [...ip, 'route', 'del', ...route] }, { command: [...ip, 'rule', 'del', ...rule] }];
}
