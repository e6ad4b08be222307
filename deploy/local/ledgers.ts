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

/** What each service's pods wrote down, also those that have ended or were killed. */
export function readLedgers(pods: Iterable<Pick<RunningPod, 'pod' | 'ledger'>>): Map<string, string[]> {
  const services = new Map<string, string[]>();
  for (const { pod, ledger } of pods) {
    const service = pod.labels.app ?? pod.deployment;
    const ids = services.get(service) ?? [];
    for (const id of read(ledger).split('\n')) if (id !== '') ids.push(id);
    services.set(service, ids);
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
