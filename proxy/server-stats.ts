/** The process's own statistics, `server.*` and `runtime.*`: set when somebody scrapes, for nobody keeps them up to date. */
import { X509Certificate } from 'node:crypto';
import { getHeapStatistics } from 'node:v8';
import type { ServerState } from './admin/sources.ts';
import { LISTENER, LISTENER_STATS } from './listener/stats.ts';
import { RUNTIME, RUNTIME_STATS, SERVER, SERVER_STATS } from './observe/stats/families.ts';
import type { MainStats } from './observe/stats/main-stats.ts';

/** As envoy.admin.v3.ServerInfo.State numbers them. */
const STATES: { readonly [state in ServerState]: number } = {
  LIVE: 0,
  DRAINING: 1,
  PRE_INITIALIZING: 2,
  INITIALIZING: 3,
};
/** Envoy's "no certificate". */
const NEVER = 0xffff_ffff;
const DAY_MS = 86_400_000;

export interface ServerFacts {
  readonly concurrency: number;
  readonly startedAt: number;
  readonly runtimeKeys: number;
  /** Of the bootstrap, let pass by `--allow-unknown-static-fields`. */
  readonly unknownFields: number;
  readonly state: () => ServerState;
  /** Certificates and authorities in use, PEM. */
  readonly certificates: () => Iterable<string>;
  /** When OCSP staples end, milliseconds since the epoch. */
  readonly stapleEnds: () => readonly number[];
}

/** Keeps the statistics for the life of the process. */
export function keepServerStats(stats: MainStats, facts: ServerFacts): void {
  const server = stats.block('server.', SERVER_STATS);
  const runtime = stats.block('runtime.', RUNTIME_STATS);
  runtime.set(RUNTIME.NUM_KEYS, facts.runtimeKeys);
  runtime.set(RUNTIME.NUM_LAYERS, facts.runtimeKeys === 0 ? 0 : 1);
  runtime.inc(RUNTIME.LOAD_SUCCESS);
  server.set(SERVER.CONCURRENCY, facts.concurrency);
  server.add(SERVER.STATIC_UNKNOWN_FIELDS, facts.unknownFields);
  for (const zero of [
    SERVER['COMPILATION_SETTINGS.FIPS_MODE'],
    SERVER.HOT_RESTART_EPOCH,
    SERVER.PARENT_CONNECTIONS,
    SERVER.STATS_RECENT_LOOKUPS,
    SERVER.VERSION,
  ]) {
    server.set(zero, 0);
  }
  const expiry = new Expiry();
  stats.beforeScrape(() => {
    const state = facts.state();
    const heap = getHeapStatistics();
    server.set(SERVER.LIVE, state === 'LIVE' ? 1 : 0);
    server.set(SERVER.STATE, STATES[state]);
    server.set(SERVER.UPTIME, Math.floor((Date.now() - facts.startedAt) / 1000));
    server.set(SERVER.MEMORY_ALLOCATED, heap.used_heap_size + heap.external_memory);
    server.set(SERVER.MEMORY_HEAP_SIZE, heap.total_heap_size + heap.external_memory);
    server.set(SERVER.MEMORY_PHYSICAL_SIZE, process.memoryUsage.rss());
    server.set(SERVER.TOTAL_CONNECTIONS, stats.total(LISTENER_STATS, LISTENER.DOWNSTREAM_CX_ACTIVE));
    const firstEnd = Math.min(...facts.stapleEnds());
    const seconds = Number.isFinite(firstEnd) ? Math.max(0, Math.floor((firstEnd - Date.now()) / 1000)) : 0;
    server.set(SERVER.SECONDS_UNTIL_FIRST_OCSP_RESPONSE_EXPIRING, seconds);
    server.set(SERVER.DAYS_UNTIL_FIRST_CERT_EXPIRING, expiry.daysUntilFirst(facts.certificates(), Date.now()));
  });
}

/** Ends of certificates, parsed once each: there are few, and they are scraped again and again. */
class Expiry {
  private known = new Map<string, number>();

  /** Whole days; 0 when one has expired, 2^32 - 1 when there is none. */
  daysUntilFirst(pems: Iterable<string>, now: number): number {
    const current = new Map<string, number>();
    let first = Number.POSITIVE_INFINITY;
    for (const pem of pems) {
      const end = this.known.get(pem) ?? endOf(pem);
      current.set(pem, end);
      first = Math.min(first, end);
    }
    this.known = current;
    return first === Number.POSITIVE_INFINITY ? NEVER : Math.max(0, Math.floor((first - now) / DAY_MS));
  }
}

/** Milliseconds since the epoch; `Infinity` for what is no certificate: it was refused when it came. */
function endOf(pem: string): number {
  try {
    return Date.parse(new X509Certificate(pem).validTo);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
