/**
 * What the router counts of responses, under names that appear with the first response of their kind: a status, its
 * class, the total, each again by whether the request came from inside or outside. The names are looked up once a
 * cluster and status; after that a response costs six increments.
 */
import type { Histogram, Stat, StatBlock, StatsStore } from '../../../observe/stats/contract.ts';
import { family } from '../../../observe/stats/families.ts';

/** `upstream_rq_503`, `upstream_rq_5xx` and `upstream_rq_completed` below one prefix. */
class CodeCounters {
  private readonly store: StatsStore;
  private readonly prefix: string;
  private readonly codes: (Stat | undefined)[] = new Array(600).fill(undefined);
  private readonly classes: (Stat | undefined)[] = new Array(6).fill(undefined);
  private completed: Stat | undefined = undefined;
  private unknown: Stat | undefined = undefined;

  constructor(store: StatsStore, prefix: string) {
    this.store = store;
    this.prefix = prefix;
  }

  count(status: number): void {
    if (status < 100 || status > 599) {
      this.countUnknown();
      return;
    }
    const code = this.codes[status];
    if (code === undefined) this.countFirst(status);
    else {
      code.inc();
      (this.classes[(status / 100) | 0] as Stat).inc();
      (this.completed as Stat).inc();
    }
  }

  private countUnknown(): void {
    this.unknown ??= this.store.counter(`${this.prefix}upstream_rq_unknown`);
    this.completed ??= this.store.counter(`${this.prefix}upstream_rq_completed`);
    this.unknown.inc();
    this.completed.inc();
  }

  private countFirst(status: number): void {
    const { store, prefix } = this;
    const digit = (status / 100) | 0;
    this.codes[status] = store.counter(`${prefix}upstream_rq_${status}`);
    this.classes[digit] ??= store.counter(`${prefix}upstream_rq_${digit}xx`);
    this.completed ??= store.counter(`${prefix}upstream_rq_completed`);
    this.count(status);
  }
}

/** A scope's responses and times: `cluster.<n>.`, `cluster.<n>.external.`, `vhost.<v>.vcluster.<c>.`. */
export class ResponseScope {
  readonly codes: CodeCounters;
  readonly time: Histogram;

  constructor(store: StatsStore, prefix: string) {
    this.codes = new CodeCounters(store, prefix);
    this.time = store.histogram(`${prefix}upstream_rq_time`);
  }
}

/** Everything that one cluster's responses are counted under. */
export class ClusterResponses {
  readonly all: ResponseScope;
  readonly internal: ResponseScope;
  readonly external: ResponseScope;
  private readonly retried: CodeCounters;

  constructor(store: StatsStore, prefix: string) {
    this.all = new ResponseScope(store, prefix);
    this.internal = new ResponseScope(store, `${prefix}internal.`);
    this.external = new ResponseScope(store, `${prefix}external.`);
    this.retried = new CodeCounters(store, `${prefix}retry.`);
  }

  count(status: number, internal: boolean): void {
    this.all.codes.count(status);
    (internal ? this.internal : this.external).codes.count(status);
  }

  /** A response that was answered by another attempt. */
  countRetried(status: number): void {
    this.retried.count(status);
  }

  time(milliseconds: number, internal: boolean): void {
    this.all.time.record(milliseconds);
    (internal ? this.internal : this.external).time.record(milliseconds);
  }
}

/** A virtual cluster's or a named route's scope: its own counters beside the response counts. */
const NAMED = family(['upstream_rq_total'], []);

export class NamedResponses extends ResponseScope {
  /** Everything else below the prefix goes with it. */
  private readonly block: StatBlock;
  readonly retry: Stat;
  readonly retryLimitExceeded: Stat;
  readonly retryOverflow: Stat;
  readonly retrySuccess: Stat;
  readonly timeout: Stat;

  constructor(store: StatsStore, prefix: string) {
    // First: what is named afterwards belongs to it.
    const block = store.block(prefix, NAMED);
    super(store, prefix);
    this.block = block;
    this.retry = store.counter(`${prefix}upstream_rq_retry`);
    this.retryLimitExceeded = store.counter(`${prefix}upstream_rq_retry_limit_exceeded`);
    this.retryOverflow = store.counter(`${prefix}upstream_rq_retry_overflow`);
    this.retrySuccess = store.counter(`${prefix}upstream_rq_retry_success`);
    this.timeout = store.counter(`${prefix}upstream_rq_timeout`);
  }

  /** An attempt begins. */
  started(): void {
    this.block.inc(0);
  }

  /** The virtual host is gone. Requests that are under way count into nothing from now on. */
  release(): void {
    this.block.release();
  }
}
