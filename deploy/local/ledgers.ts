/** The two ends of each payment compared: what the client was told, and what the applications took. */
import { readFileSync } from 'node:fs';
import type { RunningPod } from './pod-processes.ts';

export interface Comparison {
  /** Payments that the client was told succeeded and the last service in the row never took. */
  readonly lost: number;
  /** Payments that a service took more than once, on one of its pods or on several. */
  readonly doubled: number;
}

/** `client`: payment id to whether the client was told that it succeeded. `services`: the ids each service took. */
export function compareLedgers(
  client: ReadonlyMap<string, boolean>,
  services: ReadonlyMap<string, readonly string[]>,
  last: string,
): Comparison {
  let doubled = 0;
  for (const ids of services.values()) {
    const times = new Map<string, number>();
    for (const id of ids) times.set(id, (times.get(id) ?? 0) + 1);
    for (const count of times.values()) if (count > 1) doubled++;
  }
  const taken = new Set(services.get(last));
  let lost = 0;
  for (const [id, ok] of client) if (ok && !taken.has(id)) lost++;
  return { lost, doubled };
}

export interface ReportComparison {
  /** Calls of the report. One that ended was opened again. */
  readonly reportStreams: number;
  /** Messages that came. */
  readonly reported: number;
  /** Messages that were sent and did not come, though the call went on. */
  readonly reportsLost: number;
  /** Messages that came twice. */
  readonly reportsDoubled: number;
}

/**
 * What both ends of the settlement reports wrote down: `report payment` a message, `report` alone where it ended. What is
 * missing at the end of a call that somebody ended was on its way to nobody.
 */
export function compareReports(lines: readonly string[], senders: readonly string[]): ReportComparison {
  const received = reportsIn(lines);
  let [reported, reportsLost, reportsDoubled] = [0, 0, 0];
  for (const { ids } of received.values()) {
    reported += ids.length;
    reportsDoubled += ids.length - new Set(ids).size;
  }
  const sent = reportsIn(senders);
  for (const [report, { ids, ended }] of sent) {
    const there = received.get(report);
    const came = new Set(there?.ids);
    const last = ended || there?.ended === true ? ids.findLastIndex((id) => came.has(id)) : ids.length - 1;
    reportsLost += ids.slice(0, last + 1).filter((id) => !came.has(id)).length;
  }
  return { reportStreams: new Set([...sent.keys(), ...received.keys()]).size, reported, reportsLost, reportsDoubled };
}

interface Report {
  readonly ids: string[];
  ended: boolean;
}

function reportsIn(lines: readonly string[]): Map<string, Report> {
  const reports = new Map<string, Report>();
  for (const line of lines) {
    const space = line.indexOf(' ');
    const name = space < 0 ? line : line.slice(0, space);
    const id = space < 0 ? undefined : line.slice(space + 1);
    const report = reports.get(name) ?? { ids: [], ended: false };
    if (id === undefined) report.ended = true;
    else report.ids.push(id);
    reports.set(name, report);
  }
  return reports;
}

/** What each service's pods wrote to one of their files, also those that have ended or were killed. */
export function readLines(
  pods: Iterable<Pick<RunningPod, 'pod' | 'ledger' | 'reports'>>,
  file: 'ledger' | 'reports',
): Map<string, string[]> {
  const services = new Map<string, string[]>();
  for (const one of pods) {
    const { pod } = one;
    const service = pod.labels.app ?? pod.deployment;
    const lines = services.get(service) ?? [];
    for (const line of read(one[file]).split('\n')) if (line !== '') lines.push(line);
    services.set(service, lines);
  }
  return services;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Nothing was ever written: the pod took no payment.
    return '';
  }
}
