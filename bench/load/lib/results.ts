/** Medians, goals, and the three forms in which results are kept: JSON, Markdown table, SVG chart. */
import type { PeerName } from './peers.ts';
import type { Figures, Goal } from './row.ts';

export interface RowResult {
  readonly name: string;
  readonly what: string;
  /** Every round of every peer, in the order measured. */
  readonly rounds: { readonly [peer in PeerName]?: readonly Figures[] };
  /** Why there is no ratio: a side failed. */
  readonly refused: string | undefined;
  readonly goals: readonly Goal[];
}

export interface Results {
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGb: number;
    readonly kernel: string;
  };
  readonly versions: { readonly [program: string]: string };
  readonly rows: readonly RowResult[];
}

const LABELS: { readonly [figure: string]: string } = {
  cpuMicros: 'CPU µs a request',
  perSecond: 'requests/s at saturation',
  busy: 'share of its core in use',
  p50Ms: 'p50 ms',
  p99Ms: 'p99 ms',
  p999Ms: 'p99.9 ms',
  rssMb: 'resident MB',
  emptyRssMb: 'resident MB, empty',
  grownMb: 'grown by MB',
  idleMb: 'MB of idle connections',
  emptyReadyMs: 'ready after ms, empty',
  fullReadyMs: 'ready after ms, full',
  addedP90Ms: 'added p90 ms',
  addedP99Ms: 'added p99 ms',
  clientCpu: 'cores, client sidecar',
  serverCpu: 'cores, server sidecar',
  clientRssMb: 'resident MB, client sidecar',
  serverRssMb: 'resident MB, server sidecar',
};

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

export function medianOf(row: RowResult, peer: PeerName, figure: string): number {
  return median((row.rounds[peer] ?? []).map((round) => round[figure] ?? Number.NaN));
}

/** Whether Tollway's median keeps the goal; `undefined` when there is nothing to compare. */
export function judgeGoal(row: RowResult, goal: Goal): { readonly met: boolean; readonly text: string } | undefined {
  const own = medianOf(row, 'tollway', goal.figure);
  const envoy = medianOf(row, 'envoy', goal.figure);
  if (row.refused !== undefined || Number.isNaN(own)) return undefined;
  const label = LABELS[goal.figure] ?? goal.figure;
  if (goal.kind === 'absolute')
    return { met: own <= goal.limit, text: `${label} ${round(own)}, goal at most ${goal.limit}` };
  if (Number.isNaN(envoy)) return undefined;
  const value = goal.kind === 'ratio' ? own / envoy : own - envoy;
  const said =
    goal.kind === 'ratio'
      ? `${value.toFixed(2)} of Envoy's`
      : `Envoy's ${value >= 0 ? '+' : '-'} ${round(Math.abs(value))}`;
  const wanted = goal.kind === 'ratio' ? `${goal.limit.toFixed(2)}` : `+ ${goal.limit}`;
  return { met: value <= goal.limit, text: `${label} ${said}, goal at most ${wanted}` };
}

export function markdown(results: Results): string {
  const { machine, versions } = results;
  const lines = [
    `Measured ${results.date} on ${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, Linux ${machine.kernel}: ${Object.entries(
      versions,
    )
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    'Medians of the rounds; peers alternate within a round. Absolute figures are of this machine on this day; ratios are what counts.',
    '',
  ];
  for (const row of results.rows) {
    const peers = Object.keys(row.rounds) as PeerName[];
    lines.push(`### ${row.name}`, '', `${row.what}.`, '');
    if (row.refused !== undefined) lines.push(`**No ratio: ${row.refused}**`, '');
    lines.push(`| | ${peers.join(' | ')} | tollway / envoy |`, `|---|${peers.map(() => '---:|').join('')}---:|`);
    for (const figure of figuresOf(row)) {
      const ratio =
        row.refused === undefined ? medianOf(row, 'tollway', figure) / medianOf(row, 'envoy', figure) : Number.NaN;
      lines.push(
        `| ${LABELS[figure] ?? figure} | ${peers.map((peer) => round(medianOf(row, peer, figure))).join(' | ')} | ${Number.isNaN(ratio) ? '' : ratio.toFixed(2)} |`,
      );
    }
    lines.push('');
    for (const goal of row.goals) {
      const judged = judgeGoal(row, goal);
      if (judged !== undefined) lines.push(`- ${judged.met ? 'goal met' : '**GOAL MISSED**'}: ${judged.text}`);
    }
    lines.push('');
  }
  return lines.join('\n');
}

const BEGIN = '<!-- newest table: written by npm run bench -->';
const END = '<!-- end of the newest table -->';

/** `page` with the table between its two marks replaced. Throws when it has none: the figures must not get lost. */
export function withTable(page: string, table: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`bench/README.md lacks the marks "${BEGIN}" and "${END}"`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${table.trim()}\n\n${page.slice(end)}`;
}

function figuresOf(row: RowResult): string[] {
  return [...new Set(Object.values(row.rounds).flatMap((rounds) => rounds.flatMap((figures) => Object.keys(figures))))];
}

export function round(value: number): string {
  if (Number.isNaN(value)) return '';
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const COLOURS: { readonly [peer in PeerName]: string } = {
  tollway: '#1f6feb',
  envoy: '#b23a8f',
  haproxy: '#6b7280',
  nginx: '#a3a3a3',
};

/** Bars of each row's first goal figure, a row a group. */
export function svg(results: Results): string {
  const bars: string[] = [];
  const width = 720;
  let y = 40;
  for (const row of results.rows) {
    const figure = row.goals[0]?.figure ?? figuresOf(row)[0];
    if (figure === undefined) continue;
    const peers = (Object.keys(row.rounds) as PeerName[])
      .map((peer) => ({ peer, value: medianOf(row, peer, figure) }))
      .filter(({ value }) => !Number.isNaN(value));
    const most = Math.max(...peers.map(({ value }) => value), 0.001);
    bars.push(`<text x="10" y="${y}" font-weight="bold">${row.name}: ${LABELS[figure] ?? figure}</text>`);
    y += 10;
    for (const { peer, value } of peers) {
      const length = Math.max(1, (Math.max(0, value) / most) * (width - 220));
      bars.push(
        `<text x="10" y="${y + 13}">${peer}</text><rect x="80" y="${y}" width="${length.toFixed(1)}" height="16" fill="${COLOURS[peer]}"/><text x="${(86 + length).toFixed(1)}" y="${y + 13}">${round(value)}</text>`,
      );
      y += 20;
    }
    y += 24;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/><text x="10" y="18">Tollway and its peers, ${results.date}: less is better</text>${bars.join('')}</svg>\n`;
}
