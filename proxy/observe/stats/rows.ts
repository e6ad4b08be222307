/** Counters and gauges one by one, in the order of their names within each prefix. */
import type { StatFamily } from './contract.ts';
import type { MainStats, StatGroup } from './main-stats.ts';
import type { MergedRun } from './merged.ts';
import { type StatsQuery, wantsKind, wantsValue } from './query.ts';

export interface Row {
  readonly name: string;
  readonly value: number;
}

const orders = new WeakMap<StatFamily, Uint16Array>();

/** Positions of a family's names in sorted order. */
function order(family: StatFamily): Uint16Array {
  let sorted = orders.get(family);
  if (sorted === undefined) {
    const { names } = family;
    sorted = Uint16Array.from(names.keys()).sort((a, b) => ((names[a] as string) < (names[b] as string) ? -1 : 1));
    orders.set(family, sorted);
  }
  return sorted;
}

/** Every row that the query wants, a group at a time. */
export function* rows(stats: MainStats, query: StatsQuery): Generator<readonly Row[]> {
  if (query.type !== 'All' && query.type !== 'Counters' && query.type !== 'Gauges') return;
  for (const group of stats.groups()) {
    const found = groupRows(group, query);
    if (found.length > 0) yield found;
  }
}

function groupRows(group: StatGroup, query: StatsQuery): Row[] {
  const out: Row[] = [];
  for (const run of group.runs) addRows(run, query, out);
  if (group.runs.length > 1) out.sort((a, b) => (a.name < b.name ? -1 : 1));
  return out;
}

function addRows(run: MergedRun, query: StatsQuery, out: Row[]): void {
  const { names, kinds } = run.family;
  for (const index of order(run.family)) {
    if (!wantsKind(query, kinds[index] as 'counter' | 'gauge')) continue;
    const name = run.prefix + (names[index] as string);
    if (query.matches !== undefined && !query.matches(name)) continue;
    const value = run.value(index);
    if (wantsValue(query, value)) out.push({ name, value: value + 0 });
  }
}
