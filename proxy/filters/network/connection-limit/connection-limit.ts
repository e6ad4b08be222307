/** envoy.filters.network.connection_limit: so many connections at once, counted over all workers. */
import type { ConnectionLimitConfig } from '../../../../xds-client/model/filters/network.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import { family, indices } from '../../../observe/stats/families.ts';
import { addUpTo, type SharedNumber, subtractOne } from '../../../policy/shared-number.ts';
import { Timer } from '../../../timers.ts';
import { isOn } from '../../http/contract.ts';
import type {
  ConnectionFilterCallbacks,
  ConnectionFilterInstance,
  ExtensionFilterFactory,
  ListenerContext,
} from '../contract.ts';

const COUNTERS = ['limited_connections'] as const;
const GAUGES = ['active_connections'] as const;
const STATS = family(COUNTERS, GAUGES);
const STAT = indices([...COUNTERS, ...GAUGES]);

class ConnectionLimit implements ConnectionFilterInstance {
  private readonly config: ConnectionLimitConfig;
  private readonly context: ListenerContext;
  private readonly stats;
  private readonly open: SharedNumber;
  /** Counted, and what holds those back that are too many. */
  private readonly seen = new Map<ConnectionInfo, Timer | 'let in' | 'refused'>();

  constructor(config: ConnectionLimitConfig, context: ListenerContext) {
    this.config = config;
    this.context = context;
    this.stats = context.stats.block(`connection_limit.${config.statPrefix}.`, STATS);
    this.open = context.shared(`connection_limit ${context.scope()}`, 0n);
  }

  onNewConnection(info: ConnectionInfo, callbacks: ConnectionFilterCallbacks): 'continue' | 'close' | 'wait' {
    const { config, context, stats } = this;
    if (!isOn(config.enabled, context.runtime)) return 'continue';
    stats.inc(STAT.ACTIVE_CONNECTIONS);
    if (addUpTo(this.open, BigInt(config.maxConnections))) {
      this.seen.set(info, 'let in');
      return 'continue';
    }
    stats.inc(STAT.LIMITED_CONNECTIONS);
    if (config.delayMs <= 0) {
      this.seen.set(info, 'refused');
      return 'close';
    }
    const timer = new Timer({ onTimer: () => callbacks.close({}) }, 0);
    context.timers.arm(timer, config.delayMs);
    this.seen.set(info, timer);
    return 'wait';
  }

  onClose(info: ConnectionInfo): void {
    const seen = this.seen.get(info);
    if (seen === undefined) return;
    this.seen.delete(info);
    this.stats.add(STAT.ACTIVE_CONNECTIONS, -1);
    if (seen === 'let in') subtractOne(this.open);
    else if (seen !== 'refused') this.context.timers.disarm(seen);
  }

  close(): void {
    this.open.release();
    this.stats.release();
  }
}

export const CONNECTION_LIMIT: ExtensionFilterFactory = {
  name: 'envoy.filters.network.connection_limit',
  typeUrl: 'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit',
  buildConnectionFilter: (config, context) => new ConnectionLimit(fromPlain(config), context),
};
