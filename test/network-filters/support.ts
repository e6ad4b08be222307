/** What the network filters of a worker are given, for tests; and connections that only exist in words. */
import type { ListenerContext } from '../../proxy/filters/network/contract.ts';
import type { ConnectionInfo } from '../../proxy/http/connection-info.ts';
import { RuntimeValues } from '../../proxy/runtime.ts';
import { SharedNumberTable, sharedNumbersBuffer } from '../../proxy/shared-numbers.ts';
import { createTimers, TimerWheel } from '../../proxy/timers.ts';
import type { FilterChain, Listener } from '../../xds-client/model/listener.ts';
import { listener, rawChain } from '../listener/support.ts';
import { FakeStats } from '../tls/support.ts';

/** Of a listener context, what hardly any filter looks at. */
export function workerParts(): Pick<ListenerContext, 'runtime' | 'timers' | 'scope' | 'shared' | 'sharedNow'> {
  const shared = new SharedNumberTable(sharedNumbersBuffer());
  return {
    runtime: new RuntimeValues(),
    timers: createTimers(),
    scope: () => 'listener 0 chain',
    shared: (key, initial) => shared.claim(key, initial),
    sharedNow: process.hrtime.bigint,
  };
}

/** Workers of one process: they share numbers and a clock, and nothing else. */
export class FakeWorkers {
  readonly runtime = new RuntimeValues();
  /** Milliseconds. */
  time = 1_000;
  readonly #buffer = sharedNumbersBuffer();

  /** A worker's context; `wheel` turns when told. */
  worker(scope = 'listener 0 chain'): { context: ListenerContext; stats: FakeStats; wheel: TimerWheel } {
    const stats = new FakeStats();
    const shared = new SharedNumberTable(this.#buffer);
    const wheel = new TimerWheel({ now: () => this.time, wakeAt: () => undefined });
    const context: ListenerContext = {
      listener: listener(),
      statPrefix: 'listener.test.',
      stats,
      drain: { shouldDrain: () => false },
      runtime: this.runtime,
      timers: wheel,
      scope: () => scope,
      shared: (key, initial) => shared.claim(key, initial),
      now: () => this.time,
      sharedNow: () => BigInt(Math.round(this.time * 1e6)),
      random: () => 0.5,
    };
    return { context, stats, wheel };
  }
}

let ids = 0;

export function connectionInfo(changes: Partial<ConnectionInfo> = {}): ConnectionInfo {
  const where: Listener = listener();
  const chain: FilterChain = rawChain('a');
  return {
    id: ids++,
    listener: where,
    chain,
    directRemoteAddress: '10.0.0.1',
    directRemotePort: 40_000,
    remoteAddress: '10.0.0.1',
    remotePort: 40_000,
    localAddress: '10.0.1.1',
    localPort: 5432,
    localAddressRestored: false,
    requestedServerName: undefined,
    tls: undefined,
    startedAt: 0,
    ...changes,
  };
}
