/** Health checks for tests: configurations, and time that passes when it is told to. */
import assert from 'node:assert/strict';
import type { Http2SecureServer, Http2Server } from 'node:http2';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { DnsTimers } from '../../../proxy/cluster/dns.ts';
import { createChecker } from '../../../proxy/cluster/health-check/checkers.ts';
import type { CheckedCluster } from '../../../proxy/cluster/health-check/cluster-checks.ts';
import type { Checker, CheckResult } from '../../../proxy/cluster/health-check/contract.ts';
import { CheckWrapping, checkTarget } from '../../../proxy/cluster/health-check/target.ts';
import { MainStats } from '../../../proxy/observe/stats/main-stats.ts';
import type { TlsProvider } from '../../../proxy/tls/contract.ts';
import type { Cluster } from '../../../xds-client/model/cluster.ts';
import type { EndpointHealthCheck, HealthCheck, HttpProbe } from '../../../xds-client/model/health-check.ts';
import { FakeStats } from '../../http2/fakes.ts';
import { cluster, endpoint } from '../support.ts';

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

export interface Fixture {
  readonly checker: Checker;
  /** Starts a check and waits for what comes of it. */
  ask(): Promise<CheckResult>;
  /** What comes of what is under way. */
  result(): Promise<CheckResult>;
  readonly verified: () => number;
  /** Below `cluster.pay.`. */
  readonly stat: (name: string) => number;
}

/** A checker of the endpoint at `port`; `wrapped`: how the cluster speaks to it, plainly where nothing is said. */
export function checkerTo(
  t: TestContext,
  port: number,
  config: Partial<HealthCheck>,
  own?: EndpointHealthCheck,
  wrapped: { readonly changes?: Partial<Cluster>; readonly tls?: TlsProvider } = {},
): Fixture {
  const check = healthCheck(config);
  const checked: CheckedCluster = { ...cluster('pay', wrapped.changes), healthCheck: check };
  const at = { ...endpoint('127.0.0.1', port), ...(own === undefined ? {} : { healthCheck: own }) };
  const waiting: ((result: CheckResult) => void)[] = [];
  const arrived: CheckResult[] = [];
  let verified = 0;
  const stats = new MainStats();
  const noTls = { upstream: () => assert.fail('no TLS here'), downstream: () => assert.fail('no TLS here') };
  const target = checkTarget({
    cluster: checked,
    check,
    endpoint: () => at,
    wrapping: new CheckWrapping(checked, check, wrapped.tls ?? noTls, stats),
    onVerify: () => verified++,
    onProtocolError: () => stats.counter('cluster.pay.protocol_error').inc(),
    report: (result) => {
      const next = waiting.shift();
      if (next === undefined) arrived.push(result);
      else next(result);
    },
  });
  const checker = createChecker(checked, () => new FakeStats(), target);
  t.after(() => checker.close());
  const result = (): Promise<CheckResult> => {
    const there = arrived.shift();
    return there === undefined ? new Promise((done) => waiting.push(done)) : Promise.resolve(there);
  };
  const ask = (): Promise<CheckResult> => {
    checker.check();
    return result();
  };
  return { checker, ask, result, verified: () => verified, stat: (name) => stats.get(`cluster.pay.${name}`) ?? 0 };
}

/** The server's port; it ends with the test. */
export async function listening(t: TestContext, server: Server | Http2Server | Http2SecureServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()));
  return (server.address() as AddressInfo).port;
}
