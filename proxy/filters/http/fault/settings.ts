/**
 * Which faults a request gets: the configuration with what the request's own headers and the runtime say. The runtime's
 * word on the caller's cluster (`fault.http.<cluster>.`) comes before its general one.
 */
import type { FaultConfig, FaultShare } from '../../../../xds-client/model/filters/fault.ts';
import type { HeaderMap, RequestHead } from '../../../http/headers.ts';
import { HeaderTest } from '../../../route/header-match.ts';
import type { FilterContext, Runtime } from '../contract.ts';
import { hits } from '../fraction.ts';

/** What `x-envoy-fault-*` say, each with the header that may lower its percentage. */
const DELAY = 'x-envoy-fault-delay-request';
const DELAY_PERCENTAGE = 'x-envoy-fault-delay-request-percentage';
const ABORT = 'x-envoy-fault-abort-request';
const ABORT_GRPC = 'x-envoy-fault-abort-grpc-request';
const ABORT_PERCENTAGE = 'x-envoy-fault-abort-request-percentage';
const RATE = 'x-envoy-fault-throughput-response';
const RATE_PERCENTAGE = 'x-envoy-fault-throughput-response-percentage';

export interface Abort {
  readonly status: number;
  readonly grpcStatus: number | undefined;
}

export class FaultSettings {
  readonly config: FaultConfig;
  /** It injects nothing, whatever the request. */
  readonly idle: boolean;
  private readonly headers: readonly HeaderTest[];
  private readonly nodes: ReadonlySet<string>;

  constructor(config: FaultConfig) {
    this.config = config;
    this.idle = config.delay === undefined && config.abort === undefined && config.responseRate === undefined;
    this.headers = config.headers.map((match) => new HeaderTest(match));
    this.nodes = new Set(config.downstreamNodes);
  }

  /** `cluster`: what the route chose. */
  concerns(head: RequestHead, cluster: string | undefined): boolean {
    const { upstreamCluster } = this.config;
    if (upstreamCluster !== '' && cluster !== upstreamCluster) return false;
    if (this.nodes.size > 0) {
      const node = head.headers.get('x-envoy-downstream-service-node');
      if (node === undefined || !this.nodes.has(node)) return false;
    }
    return this.headers.every((test) => test.matchesRequest(head));
  }

  /** Milliseconds, or `undefined`: none. `caller`: its cluster, empty when it says none. */
  delay(headers: HeaderMap, caller: string, context: FilterContext): number | undefined {
    const { delay, runtime: keys } = this.config;
    if (delay === undefined) return undefined;
    const { runtime } = context;
    const key = caller === '' ? keys.delayPercent : `fault.http.${caller}.delay.fixed_delay_percent`;
    const byHeader = delay.ms === undefined;
    const share = shareOf(delay.share, headers, byHeader, DELAY_PERCENTAGE);
    if (!hits({ ...share, runtimeKey: key }, context)) return undefined;
    const configured = delay.ms ?? numberIn(headers, DELAY);
    if (configured === undefined) return undefined;
    let ms = runtime.number(keys.delayMs) ?? configured;
    if (caller !== '') ms = runtime.number(`fault.http.${caller}.delay.fixed_duration_ms`) ?? ms;
    return ms >= 1 ? Math.floor(ms) : undefined;
  }

  /** The answer, or `undefined`: none. */
  abort(headers: HeaderMap, caller: string, context: FilterContext): Abort | undefined {
    const { abort, runtime: keys } = this.config;
    if (abort === undefined) return undefined;
    const { runtime } = context;
    const key = caller === '' ? keys.abortPercent : `fault.http.${caller}.abort.abort_percent`;
    const byHeader = abort.httpStatus === undefined && abort.grpcStatus === undefined;
    const share = shareOf(abort.share, headers, byHeader, ABORT_PERCENTAGE);
    if (!hits({ ...share, runtimeKey: key }, context)) return undefined;
    const status = byHeader ? httpStatusIn(headers) : abort.httpStatus;
    if (status !== undefined) {
      const said = overridden(runtime, keys.abortHttpStatus, caller, 'http_status', status);
      return { status: isStatus(said) ? said : status, grpcStatus: undefined };
    }
    const grpcStatus = byHeader ? numberIn(headers, ABORT_GRPC) : abort.grpcStatus;
    if (grpcStatus === undefined) return undefined;
    return { status: 200, grpcStatus: overridden(runtime, keys.abortGrpcStatus, caller, 'grpc_status', grpcStatus) };
  }

  /** Bytes a second that the response may go out with; `undefined`: as fast as it can. */
  responseRate(headers: HeaderMap, context: FilterContext): number | undefined {
    const { responseRate, runtime: keys } = this.config;
    if (responseRate === undefined) return undefined;
    const byHeader = responseRate.kibPerSecond === undefined;
    const share = shareOf(responseRate.share, headers, byHeader, RATE_PERCENTAGE);
    if (!hits({ ...share, runtimeKey: keys.responseRatePercent }, context)) return undefined;
    const kib = responseRate.kibPerSecond ?? numberIn(headers, RATE);
    return kib === undefined || kib === 0 ? undefined : kib * 1024;
  }

  /** How many faults there may be at once. */
  maxActive(context: FilterContext): number {
    return context.runtime.number(this.config.runtime.maxActive) ?? this.config.maxActive ?? Number.POSITIVE_INFINITY;
  }
}

/** As in Envoy the caller's key wins over the general one, and the general one over the configuration. */
function overridden(runtime: Runtime, key: string, caller: string, name: string, configured: number): number {
  const own = caller === '' ? undefined : runtime.number(`fault.http.${caller}.abort.${name}`);
  if (own !== undefined) return own;
  return caller === '' ? (runtime.number(key) ?? configured) : configured;
}

/** A header may lower the share, never raise it. */
function shareOf(share: FaultShare, headers: HeaderMap, byHeader: boolean, header: string): FaultShare {
  if (!byHeader) return share;
  const wanted = numberIn(headers, header);
  return wanted === undefined || wanted >= share.numerator ? share : { ...share, numerator: wanted };
}

function httpStatusIn(headers: HeaderMap): number | undefined {
  const status = numberIn(headers, ABORT);
  return status !== undefined && isStatus(status) ? status : undefined;
}

function isStatus(number: number): boolean {
  return Number.isInteger(number) && number >= 200 && number < 600;
}

/** A whole decimal number. */
function numberIn(headers: HeaderMap, name: string): number | undefined {
  const text = headers.get(name);
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
