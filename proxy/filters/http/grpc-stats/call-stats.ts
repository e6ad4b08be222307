/**
 * What is counted of calls: `cluster.<name>.grpc.<service>.<method>.` and, without names, `cluster.<name>.grpc.`. A name
 * appears with its first count and is looked up once. Names come from requests, so there is a limit to them: what goes
 * beyond is counted without names, as are methods that are not on the list.
 */
import type { GrpcStatsConfig } from '../../../../xds-client/model/filters/grpc-stats.ts';
import { statPrefix } from '../../../cluster/stats.ts';
import type { Histogram, Stat, StatBlock, StatsStore } from '../../../observe/stats/contract.ts';
import type { ClusterHandle } from '../../../upstream/contract.ts';

/** Methods with names of their own, a cluster. */
const MAX_METHODS = 1000;
/** A longer path is nobody's method. */
const MAX_PATH = 256;
/** gRPC's statuses, as they are written. */
const STATUSES: ReadonlyMap<string, number> = new Map(Array.from({ length: 17 }, (_, status) => [`${status}`, status]));
/** Statuses that gRPC does not know, a method. */
const MAX_OTHER_STATUSES = 16;
/** Of statuses that are no number, and of those beyond the limit. */
const INVALID = '-1';

/** The counts of one method, or of all that have no names. */
export class CallStats {
  private readonly store: StatsStore;
  private readonly prefix: string;
  private readonly statuses: (Stat | undefined)[] = new Array<Stat | undefined>(STATUSES.size).fill(undefined);
  private others: Map<string, Stat> | undefined = undefined;
  private total: Stat | undefined = undefined;
  private success: Stat | undefined = undefined;
  private failure: Stat | undefined = undefined;
  private requests: Stat | undefined = undefined;
  private responses: Stat | undefined = undefined;
  private time: Histogram | undefined = undefined;

  constructor(store: StatsStore, prefix: string) {
    this.store = store;
    this.prefix = prefix;
  }

  /** A call has ended with this `grpc-status`. */
  countStatus(text: string): void {
    this.statusOf(text).inc();
    this.countEnd(text === '0');
  }

  /** A call has ended, and its protocol has no status. */
  countEnd(succeeded: boolean): void {
    if (succeeded) {
      this.success ??= this.named('success');
      this.success.inc();
    } else {
      this.failure ??= this.named('failure');
      this.failure.inc();
    }
    this.total ??= this.named('total');
    this.total.inc();
  }

  countRequests(messages: number): void {
    this.requests ??= this.named('request_message_count');
    this.requests.add(messages);
  }

  countResponses(messages: number): void {
    this.responses ??= this.named('response_message_count');
    this.responses.add(messages);
  }

  recordTime(milliseconds: number): void {
    this.time ??= this.store.histogram(`${this.prefix}upstream_rq_time`);
    this.time.record(milliseconds);
  }

  private named(name: string): Stat {
    return this.store.counter(this.prefix + name);
  }

  private statusOf(text: string): Stat {
    const known = STATUSES.get(text);
    if (known === undefined) return this.otherStatus(text);
    let stat = this.statuses[known];
    if (stat === undefined) {
      stat = this.named(text);
      this.statuses[known] = stat;
    }
    return stat;
  }

  private otherStatus(text: string): Stat {
    this.others ??= new Map();
    const { others } = this;
    const wanted = /^\d{1,3}$/.test(text) && (others.has(text) || others.size < MAX_OTHER_STATUSES) ? text : INVALID;
    let stat = others.get(wanted);
    if (stat === undefined) {
      stat = this.named(wanted);
      others.set(wanted, stat);
    }
    return stat;
  }
}

/** The calls to one cluster. */
class ClusterCalls {
  private readonly store: StatsStore;
  private readonly prefix: string;
  private readonly nameless: CallStats;
  /** By `/service/method`. */
  private readonly methods = new Map<string, CallStats>();

  constructor(store: StatsStore, cluster: ClusterHandle) {
    this.store = store;
    this.prefix = `${statPrefix(cluster.config)}grpc.`;
    this.nameless = new CallStats(store, this.prefix);
  }

  of(path: string, names: MethodNames): CallStats | undefined {
    const query = path.indexOf('?');
    const bare = query < 0 ? path : path.slice(0, query);
    const known = this.methods.get(bare);
    if (known !== undefined) return known;
    if (bare.length > MAX_PATH || !names.any) return isMethod(bare) ? this.nameless : undefined;
    const parts = bare.split('/').filter((part) => part !== '');
    const [service, method] = parts;
    if (service === undefined || method === undefined || parts.length > 2) return undefined;
    return this.named(`/${service}/${method}`, names.textOf(service, method));
  }

  private named(key: string, name: string | undefined): CallStats {
    const known = this.methods.get(key);
    if (known !== undefined) return known;
    if (name === undefined || this.methods.size >= MAX_METHODS) return this.nameless;
    const made = new CallStats(this.store, `${this.prefix}${name}.`);
    this.methods.set(key, made);
    return made;
  }
}

/** Which methods are named in statistics, and how. */
class MethodNames {
  readonly any: boolean;
  /** `undefined`: all are. */
  private readonly listed: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  private readonly replaceDots: boolean;

  constructor({ methods, replaceDots }: GrpcStatsConfig) {
    this.replaceDots = methods === 'all' && replaceDots;
    this.listed =
      methods === 'all' ? undefined : new Map(methods.map(({ service, methods: own }) => [service, new Set(own)]));
    this.any = this.listed === undefined || this.listed.size > 0;
  }

  textOf(service: string, method: string): string | undefined {
    if (this.listed?.get(service)?.has(method) === false || this.listed?.has(service) === false) return undefined;
    return `${this.replaceDots ? service.replaceAll('.', '_') : service}.${method}`;
  }
}

/** The calls to all clusters that one filter sees. */
export class AllCalls {
  private readonly store: StatsStore;
  private readonly names: MethodNames;
  /** By the cluster's own statistics, and gone with them. */
  private readonly clusters = new WeakMap<StatBlock, ClusterCalls>();

  constructor(store: StatsStore, config: GrpcStatsConfig) {
    this.store = store;
    this.names = new MethodNames(config);
  }

  /** `undefined`: the path is not that of a method. A cluster that was replaced is counted afresh under the same names. */
  of(cluster: ClusterHandle, path: string): CallStats | undefined {
    let calls = this.clusters.get(cluster.stats);
    if (calls === undefined) {
      calls = new ClusterCalls(this.store, cluster);
      this.clusters.set(cluster.stats, calls);
    }
    return calls.of(path, this.names);
  }
}

/** Two parts between slashes, however many slashes there are. */
function isMethod(path: string): boolean {
  let parts = 0;
  let inside = false;
  for (let i = 0; i < path.length; i++) {
    const slash = path.charCodeAt(i) === 47;
    if (!slash && !inside) parts++;
    inside = !slash;
  }
  return parts === 2;
}
