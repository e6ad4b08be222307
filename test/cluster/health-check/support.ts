/** Health checks for tests: configurations, and time that passes when it is told to. */
import type { DnsTimers } from '../../../proxy/cluster/dns.ts';
import type { HealthCheck, HttpProbe } from '../../../xds-client/model/health-check.ts';

export function healthCheck(changes: Partial<HealthCheck> = {}): HealthCheck {
  return {
    timeoutMs: 1000,
    initialJitterMs: 0,
    intervalJitterMs: 0,
    intervalJitterPercent: 0,
    unhealthyThreshold: 2,
    healthyThreshold: 2,
    intervals: {
      healthyMs: 5000,
      healthyEdgeMs: 500,
      unhealthyMs: 2000,
      unhealthyEdgeMs: 200,
      noTrafficMs: 60_000,
      noTrafficHealthyMs: 90_000,
    },
    reuseConnection: true,
    probe: { kind: 'tcp', send: undefined, receive: [] },
    alpn: [],
    socketMatch: undefined,
    ...changes,
  };
}

export function httpProbe(changes: Partial<HttpProbe> = {}): HttpProbe {
  return {
    kind: 'http',
    host: undefined,
    path: '/healthz',
    method: 'GET',
    http2: false,
    headersToAdd: [],
    headersToRemove: [],
    expectedStatuses: [{ start: 200, end: 201 }],
    retriableStatuses: [],
    send: undefined,
    receive: [],
    bufferBytes: 1024,
    serviceName: undefined,
    ...changes,
  };
}

interface Wake {
  readonly callback: () => void;
  readonly at: number;
}

/** Timers whose time only `pass` moves. */
export class ManualTimers implements DnsTimers {
  private now = 0;
  private readonly wakes = new Set<Wake>();

  set(callback: () => void, ms: number): unknown {
    const wake = { callback, at: this.now + ms };
    this.wakes.add(wake);
    return wake;
  }

  clear(timer: unknown): void {
    this.wakes.delete(timer as Wake);
  }

  /** Milliseconds to the next timer; `undefined` when none is set. */
  next(): number | undefined {
    const ats = [...this.wakes].map(({ at }) => at);
    return ats.length === 0 ? undefined : Math.min(...ats) - this.now;
  }

  /** Runs what is due until then, in order. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.wakes].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.wakes.delete(due);
      this.now = due.at;
      due.callback();
    }
    this.now = end;
  }
}
