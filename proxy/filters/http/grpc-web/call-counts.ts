/**
 * `cluster.<name>.grpc-web.<service>.<method>.`: the status, `success` or `failure`, and `total`. Names come from
 * requests, so there is a limit to them; beyond it calls are not counted by name, and no more names appear.
 */
import type { Stat } from '../../../observe/stats/contract.ts';

/** Names of calls, a filter. */
const MAX_CALLS = 1000;
const MAX_PATH = 256;
const MAX_STATUSES = 32;

interface Call {
  readonly prefix: string;
  readonly statuses: Map<string, Stat>;
  readonly total: Stat;
}

export class CallCounts {
  private readonly counter: (name: string) => Stat;
  /** By cluster and path. */
  private readonly calls = new Map<string, Call>();

  constructor(counter: (name: string) => Stat) {
    this.counter = counter;
  }

  /** A call of `path` to `cluster` has ended with this `grpc-status`. */
  count(cluster: string, path: string, status: string): void {
    const call = this.callOf(cluster, path);
    if (call === undefined) return;
    const succeeded = status === '0';
    this.statOf(call, /^\d{1,3}$/.test(status) ? String(Number(status)) : '-1')?.inc();
    this.statOf(call, succeeded ? 'success' : 'failure')?.inc();
    call.total.inc();
  }

  private callOf(cluster: string, path: string): Call | undefined {
    const query = path.indexOf('?');
    const bare = query < 0 ? path : path.slice(0, query);
    const key = `${cluster}${bare}`;
    const known = this.calls.get(key);
    if (known !== undefined) return known;
    const parts = bare.split('/').filter((part) => part !== '');
    if (parts.length !== 2 || bare.length > MAX_PATH || this.calls.size >= MAX_CALLS) return undefined;
    const prefix = `cluster.${cluster}.grpc-web.${parts[0]}.${parts[1]}.`;
    const made: Call = { prefix, statuses: new Map(), total: this.counter(`${prefix}total`) };
    this.calls.set(key, made);
    return made;
  }

  private statOf({ statuses, prefix }: Call, name: string): Stat | undefined {
    const known = statuses.get(name);
    if (known !== undefined || statuses.size >= MAX_STATUSES) return known;
    const made = this.counter(prefix + name);
    statuses.set(name, made);
    return made;
  }
}
