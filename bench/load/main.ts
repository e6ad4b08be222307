/**
 * `npm run bench [-- --rows h1,mtls-out] [--rounds 3] [--quick]`: Tollway and its peers in turn on the same bootstrap, on
 * the same core. Writes bench/results/latest.{md,json,svg} and the table in bench/README.md; a part run with --rows replaces those rows only.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { ENVOY, isInstalled, type PeerName } from './lib/peers.ts';
import { judgeGoal, markdown, medianOf, type Results, type RowResult, round, svg, withTable } from './lib/results.ts';
import type { Figures, Row, Session } from './lib/row.ts';
import { type Stage, setStage } from './lib/stage.ts';

const RESULTS = resolve(import.meta.dirname, '../results');
const PAGE = resolve(import.meta.dirname, '../README.md');

async function loadRows(): Promise<readonly Row[]> {
  const folder = join(import.meta.dirname, 'rows');
  const rows: Row[] = [];
  for (const file of readdirSync(folder).sort())
    rows.push(...((await import(join(folder, file))) as { readonly rows: readonly Row[] }).rows);
  return rows;
}

async function measureRow(row: Row, stage: Stage, rounds: number, quick: boolean): Promise<RowResult> {
  const figures: { [peer in PeerName]?: Figures[] } = {};
  let refused: string | undefined;
  const peers = row.peers.filter((peer) => {
    if (isInstalled(peer)) return true;
    stdout.write(`  ${peer} is not installed: npm run peers\n`);
    return false;
  });
  const fail = (peer: PeerName, doing: string, error: unknown): void => {
    const message = error instanceof Error ? error.message.split('\n').slice(0, 6).join('\n') : String(error);
    stdout.write(`  ${doing} ${peer} FAILED: ${message}\n`);
    if (peer === 'tollway' || peer === 'envoy') refused = `${peer}: ${message.split('\n')[0]}`;
  };
  const sessions = new Map<PeerName, Session>();
  try {
    for (const peer of peers) {
      try {
        sessions.set(peer, await row.start(peer, stage, quick));
      } catch (error) {
        fail(peer, 'start', error);
      }
    }
    for (let at = 1; at <= rounds; at++) {
      for (const [peer, session] of sessions) {
        try {
          const found = await session.measure(quick);
          figures[peer] = [...(figures[peer] ?? []), found];
          stdout.write(
            `  round ${at} ${peer.padEnd(8)} ${Object.entries(found)
              .map(([name, value]) => `${name} ${round(value)}`)
              .join('  ')}\n`,
          );
        } catch (error) {
          fail(peer, `round ${at}`, error);
        }
      }
    }
  } finally {
    for (const session of sessions.values()) await session.close();
  }
  return { name: row.name, what: row.what, rounds: figures, refused, goals: row.goals };
}

function versions(): { readonly [program: string]: string } {
  const found: { [program: string]: string } = { node: process.version.slice(1) };
  const ask = (name: string, command: string, args: readonly string[], pattern: RegExp): void => {
    try {
      const text = execFileSync('sh', ['-c', `PATH=$PATH:/usr/sbin ${command} ${args.join(' ')} 2>&1`]).toString();
      const version = pattern.exec(text)?.[1];
      if (version !== undefined) found[name] = version;
    } catch {
      found[name] = 'absent';
    }
  };
  ask('envoy', ENVOY, ['--version'], /\/(\d+\.\d+\.\d+)\//);
  ask('haproxy', 'haproxy', ['-v'], /version (\S+)/);
  ask('nginx', 'nginx', ['-v'], /nginx\/(\S+)/);
  return found;
}

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
  },
});
const names = values.rows?.split(',');
const all = await loadRows();
const unknown = names?.filter((name) => !all.some((row) => row.name === name)) ?? [];
if (unknown.length > 0)
  throw new Error(`no row ${unknown.join(', ')}: there are ${all.map((row) => row.name).join(', ')}`);

const stage = await setStage();
const measured: RowResult[] = [];
try {
  for (const row of all.filter((candidate) => names?.includes(candidate.name) ?? true)) {
    stdout.write(`${row.name}: ${row.what}\n`);
    const result = await measureRow(row, stage, Number(values.rounds), values.quick);
    measured.push(result);
    for (const goal of row.goals) {
      const judged = judgeGoal(result, goal);
      stdout.write(
        `  ${judged === undefined ? `no comparison: ${result.refused ?? 'a peer is missing'}` : `${judged.met ? 'met   ' : 'MISSED'} ${judged.text}`}\n`,
      );
    }
  }
} finally {
  await stage.close();
}
if (!values.quick) {
  mkdirSync(RESULTS, { recursive: true });
  const json = join(RESULTS, 'latest.json');
  const before = existsSync(json) ? (JSON.parse(readFileSync(json, 'utf8')) as Results).rows : [];
  const rows = all.flatMap(
    (row) => measured.find((m) => m.name === row.name) ?? before.find((m) => m.name === row.name) ?? [],
  );
  const results: Results = {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
    },
    versions: versions(),
    rows,
  };
  writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(RESULTS, 'latest.md'), markdown(results));
  writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), markdown(results)));
  writeFileSync(join(RESULTS, 'latest.svg'), svg(results));
  stdout.write(`written to ${RESULTS}/latest.md\n`);
}
if (
  measured.some(
    (row) => row.refused !== undefined || Number.isNaN(medianOf(row, 'tollway', row.goals[0]?.figure ?? '')),
  )
)
  process.exitCode = 1;
