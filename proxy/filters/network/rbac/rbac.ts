/**
 * envoy.filters.network.rbac: who may connect. Judged once, when TLS is done and before the next filter: a server that
 * speaks first says nothing to a caller who may not hear it.
 */
import type { Json } from '../../../../xds-client/model/common.ts';
import type { NetworkRbacConfig } from '../../../../xds-client/model/filters/network.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import { family } from '../../../observe/stats/families.ts';
import { RbacEngine, type RbacSubject } from '../../../rbac/engine.ts';
import { Timer } from '../../../timers.ts';
import type {
  ConnectionFilterCallbacks,
  ConnectionFilterInstance,
  ExtensionFilterFactory,
  ListenerContext,
} from '../contract.ts';

const STATS = family(['allowed', 'denied'], []);
const SHADOW_STATS = family(['shadow_allowed', 'shadow_denied'], []);
const ALLOWED = 0;
const DENIED = 1;
const NO_METADATA = (): Json | undefined => undefined;

class NetworkRbac implements ConnectionFilterInstance {
  private readonly context: ListenerContext;
  private readonly rules: RbacEngine | undefined;
  private readonly shadow: RbacEngine | undefined;
  private readonly delayMs: number;
  private readonly stats;
  private readonly shadowStats;
  private readonly held = new Map<ConnectionInfo, Timer>();

  constructor(config: NetworkRbacConfig, context: ListenerContext) {
    this.context = context;
    this.rules = config.rules && new RbacEngine(config.rules);
    this.shadow = config.shadowRules && new RbacEngine(config.shadowRules);
    this.delayMs = config.delayDenyMs;
    this.stats = context.stats.block(`${config.statPrefix}rbac.`, STATS);
    this.shadowStats = context.stats.block(`${config.statPrefix}rbac.${config.shadowStatPrefix}`, SHADOW_STATS);
  }

  onNewConnection(info: ConnectionInfo, callbacks: ConnectionFilterCallbacks): 'continue' | 'close' | 'wait' {
    const subject: RbacSubject = {
      connection: info,
      remoteAddress: info.remoteAddress,
      head: undefined,
      metadata: NO_METADATA,
    };
    if (this.shadow !== undefined) this.shadowStats.inc(this.shadow.judge(subject).allowed ? ALLOWED : DENIED);
    const verdict = this.rules?.judge(subject);
    if (verdict === undefined) return 'continue';
    this.stats.inc(verdict.allowed ? ALLOWED : DENIED);
    if (verdict.allowed) return 'continue';
    const why = { details: `rbac_access_denied_matched_policy[${detail(verdict.policy ?? 'none')}]` };
    if (this.delayMs <= 0) {
      callbacks.close(why);
      return 'close';
    }
    const timer = new Timer({ onTimer: () => callbacks.close(why) }, 0);
    this.held.set(info, timer);
    this.context.timers.arm(timer, this.delayMs);
    return 'wait';
  }

  onClose(info: ConnectionInfo): void {
    const timer = this.held.get(info);
    if (timer === undefined) return;
    this.held.delete(info);
    this.context.timers.disarm(timer);
  }

  close(): void {
    this.stats.release();
    this.shadowStats.release();
  }
}

/** Access logs are split at white space. */
const detail = (policy: string): string => policy.replaceAll(/\s/g, '_');

export const RBAC: ExtensionFilterFactory = {
  name: 'envoy.filters.network.rbac',
  typeUrl: 'envoy.extensions.filters.network.rbac.v3.RBAC',
  buildConnectionFilter: (config, context) => new NetworkRbac(fromPlain(config), context),
};
