/**
 * Injects faults on purpose: holds a request for a while, answers it, lets its response out slowly. A route's settings take
 * the place of the filter's own. While a request is held its body waits at the gate, and its source when that is full.
 */
import type { FaultConfig } from '../../../../xds-client/model/filters/fault.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { HeaderMap, RequestHead } from '../../../http/headers.ts';
import { ResponseFlag } from '../../../http/stream-info.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';
import { Timer, type TimerTarget } from '../../../timers.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterContext,
  type FilterStatus,
  type HttpFilter,
  type HttpFilterFactory,
  type HttpFilterInstance,
  STOP,
  STOP_AND_WATERMARK,
  TAKE,
} from '../contract.ts';
import { PacedResponse } from './paced-response.ts';
import { FaultSettings } from './settings.ts';
import { FAULT_STATS, FaultStat } from './stats.ts';

const NAME = 'envoy.filters.http.fault';
/** Callers that are counted by name: the name is theirs to choose. */
const MAX_CALLERS = 100;
const DELAY = 0;

/** Of routes; one a configuration. */
const compiled = new WeakMap<object, FaultSettings>();

class Faults implements HttpFilterInstance {
  readonly context: FilterContext;
  readonly stats: StatBlock;
  private readonly settings: FaultSettings;
  private readonly callers = new Set<string>();

  constructor(config: FaultConfig, context: FilterContext) {
    this.context = context;
    this.settings = new FaultSettings(config);
    this.stats = context.stats.block(`${context.statPrefix}fault.`, FAULT_STATS);
  }

  create(callbacks: FilterCallbacks): HttpFilter {
    return new FaultStream(this, callbacks);
  }

  close(): void {
    this.stats.release();
  }

  settingsOf(callbacks: FilterCallbacks): FaultSettings {
    const said = callbacks.perRouteConfig();
    if (said === undefined || said === null || typeof said !== 'object') return this.settings;
    let settings = compiled.get(said);
    if (settings === undefined) {
      settings = new FaultSettings(fromPlain<FaultConfig>(said));
      compiled.set(said, settings);
    }
    return settings;
  }

  countCaller(caller: string, name: 'aborts_injected' | 'delays_injected'): void {
    if (!this.callers.has(caller)) {
      if (this.callers.size >= MAX_CALLERS) return;
      this.callers.add(caller);
    }
    this.context.stats.counter(`${this.context.statPrefix}fault.${caller}.${name}`).inc();
  }
}

class FaultStream implements HttpFilter, TimerTarget {
  private readonly filter: Faults;
  private readonly callbacks: FilterCallbacks;
  private settings: FaultSettings | undefined = undefined;
  private head: RequestHead | undefined = undefined;
  /** The cluster that the caller says it is of. */
  private caller = '';
  private timer: Timer | undefined = undefined;
  private paced: PacedResponse | undefined = undefined;
  /** It counts among the active faults. */
  private active = false;

  constructor(filter: Faults, callbacks: FilterCallbacks) {
    this.filter = filter;
    this.callbacks = callbacks;
  }

  onRequestHead(head: RequestHead): FilterStatus {
    const settings = this.filter.settingsOf(this.callbacks);
    if (settings.idle) return CONTINUE;
    const { upstreamCluster } = settings.config;
    const cluster = upstreamCluster === '' ? undefined : this.callbacks.matchedRoute()?.choice?.name;
    if (!settings.concerns(head, cluster)) return CONTINUE;
    this.settings = settings;
    this.head = head;
    this.caller = head.headers.get('x-envoy-downstream-service-cluster') ?? '';
    this.pace(head, settings);
    if (this.delayed(head, settings)) return STOP_AND_WATERMARK;
    return this.aborted(head, settings) ? STOP : CONTINUE;
  }

  onRequestData(): FilterStatus {
    return this.timer === undefined ? CONTINUE : STOP_AND_WATERMARK;
  }

  onRequestTrailers(): FilterStatus {
    return this.timer === undefined ? CONTINUE : STOP;
  }

  onResponseData(chunk: Buffer, end: boolean): FilterStatus {
    if (this.paced === undefined) return CONTINUE;
    this.paced.take(chunk, end);
    return TAKE;
  }

  onResponseTrailers(trailers: HeaderMap): FilterStatus {
    return this.paced?.takeTrailers(trailers) === true ? TAKE : CONTINUE;
  }

  onResponseBlocked(blocked: boolean): void {
    this.paced?.block(blocked);
  }

  onTimer(): void {
    const { settings, head } = this;
    this.timer = undefined;
    // A delay may be followed by an answer.
    if (settings === undefined || head === undefined || this.aborted(head, settings)) return;
    this.callbacks.continueRequest();
  }

  onDestroy(): void {
    if (this.timer !== undefined) this.filter.context.timers.cancel(this.timer);
    this.timer = undefined;
    this.paced?.stop();
    if (this.active) this.filter.stats.add(FaultStat.ACTIVE_FAULTS, -1);
    this.active = false;
  }

  private pace({ headers }: RequestHead, settings: FaultSettings): void {
    const { filter, callbacks } = this;
    const rate = settings.responseRate(headers, filter.context);
    if (rate === undefined || !this.begin(settings)) return;
    filter.stats.inc(FaultStat.RESPONSE_RL_INJECTED);
    this.paced = new PacedResponse(callbacks, filter.context, rate);
  }

  private delayed({ headers }: RequestHead, settings: FaultSettings): boolean {
    const { filter, caller } = this;
    const ms = settings.delay(headers, caller, filter.context);
    if (ms === undefined || !this.begin(settings)) return false;
    this.timer = new Timer(this, DELAY);
    filter.context.timers.arm(this.timer, ms);
    if (caller !== '' && settings.config.countDownstreamClusters) filter.countCaller(caller, 'delays_injected');
    filter.stats.inc(FaultStat.DELAYS_INJECTED);
    this.note(ResponseFlag.DelayInjected, settings);
    return true;
  }

  private aborted({ headers }: RequestHead, settings: FaultSettings): boolean {
    const { filter, caller } = this;
    const abort = settings.abort(headers, caller, filter.context);
    if (abort === undefined || !this.begin(settings)) return false;
    if (caller !== '' && settings.config.countDownstreamClusters) filter.countCaller(caller, 'aborts_injected');
    filter.stats.inc(FaultStat.ABORTS_INJECTED);
    this.note(ResponseFlag.FaultInjected, settings);
    const { status, grpcStatus } = abort;
    this.callbacks.sendLocalReply(status, 'fault filter abort', 'fault_filter_abort', undefined, grpcStatus);
    return true;
  }

  /** One place among the active faults, however many faults the request gets. False: none is left. */
  private begin(settings: FaultSettings): boolean {
    if (this.active) return true;
    const { stats, context } = this.filter;
    if (stats.get(FaultStat.ACTIVE_FAULTS) >= settings.maxActive(context)) {
      stats.inc(FaultStat.FAULTS_OVERFLOW);
      return false;
    }
    stats.add(FaultStat.ACTIVE_FAULTS, 1);
    this.active = true;
    return true;
  }

  private note(flag: number, { config }: FaultSettings): void {
    const { info } = this.callbacks;
    info.flags |= flag;
    info.dynamicMetadata ??= new Map();
    info.dynamicMetadata.set(NAME, { ...info.dynamicMetadata.get(NAME), ...config.metadata });
  }
}

export const FAULT: HttpFilterFactory = {
  name: NAME,
  typeUrl: 'envoy.extensions.filters.http.fault.v3.HTTPFault',
  build: (config, context) => new Faults(fromPlain<FaultConfig>(config), context),
};
