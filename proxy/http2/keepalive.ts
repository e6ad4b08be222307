/** PING at an interval, and the end of a connection that does not answer: made only where it is configured. */
import type { Http2Options } from '../../xds-client/model/http-connection-manager.ts';

interface Pinged {
  ping(): void;
  keepaliveExpired(): void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

export class Keepalive {
  private readonly connection: Pinged;
  private readonly options: NonNullable<Http2Options['keepalive']>;
  private readonly random: () => number;
  private interval: NodeJS.Timeout | undefined = undefined;
  private timeout: NodeJS.Timeout | undefined = undefined;

  constructor(connection: Pinged, options: NonNullable<Http2Options['keepalive']>, random: () => number) {
    this.connection = connection;
    this.options = options;
    this.random = random;
    this.schedule();
  }

  acknowledged(): void {
    if (this.timeout === undefined) return;
    clearTimeout(this.timeout);
    this.timeout = undefined;
    this.schedule();
  }

  stop(): void {
    clearTimeout(this.interval);
    clearTimeout(this.timeout);
    this.timeout = undefined;
  }

  private schedule(): void {
    const { intervalMs, intervalJitterPercent } = this.options;
    if (intervalMs === undefined) return;
    const jitter = (intervalMs * intervalJitterPercent * this.random()) / 100;
    this.interval = setTimeout(() => this.send(), Math.min(intervalMs + jitter, MAX_TIMER_MS)).unref();
  }

  private send(): void {
    this.timeout = setTimeout(() => this.connection.keepaliveExpired(), this.options.timeoutMs).unref();
    this.connection.ping();
  }
}
