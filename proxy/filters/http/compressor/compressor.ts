/**
 * Compresses responses for clients that take the coding, and requests where the configuration says so. How a body is
 * compressed as it streams, and what bounds it: proxy/http/coding-stage.ts. The checks stand in Envoy's order, because
 * each has its statistic.
 */
import type { RuntimeFlag } from '../../../../xds-client/model/common.ts';
import type {
  CompressedDirection,
  CompressorConfig,
  CompressorRouteConfig,
} from '../../../../xds-client/model/filters/compression.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import { compressing, type StageKind } from '../../../http/coding-stage.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../../http/headers.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';
import { type BodyCounts, type BodyUser, type CodedBody, startBody } from '../coded-body.ts';
import { CodingFilter } from '../coding-filter.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterContext,
  type FilterStatus,
  type HttpFilterFactory,
  isOn,
  type Runtime,
} from '../contract.ts';
import { type Candidate, type Decision, Negotiation } from './negotiation.ts';
import * as stats from './stats.ts';

const NO_TRANSFORM = 'no-transform';

/** One direction, ready to ask. */
interface Direction {
  readonly enabled: RuntimeFlag;
  readonly minLength: number;
  readonly contentTypes: ReadonlySet<string>;
  /** Where its statistics begin. */
  readonly base: number;
  readonly counts: BodyCounts;
}

/** A configured compressor. */
class Compressor {
  readonly kind: StageKind;
  readonly block: StatBlock;
  readonly request: Direction;
  readonly response: Direction;
  readonly disableOnEtag: boolean;
  readonly removeAcceptEncoding: boolean;
  readonly candidate: Candidate;
  readonly runtime: Runtime;

  constructor(config: CompressorConfig, context: FilterContext) {
    const { name, library, response } = config;
    this.kind = compressing(library);
    this.runtime = context.runtime;
    const family = config.responseStats ? stats.DIRECTED_STATS : stats.PLAIN_STATS;
    this.block = context.stats.block(`${context.statPrefix}compressor.${name}.${library.kind}.`, family);
    this.request = this.direction(config.request, stats.REQUEST);
    this.response = this.direction(response, stats.RESPONSE);
    this.disableOnEtag = response.disableOnEtag;
    this.removeAcceptEncoding = response.removeAcceptEncoding;
    const { contentTypes } = this.response;
    this.candidate = { coding: this.kind.coding, contentTypes, first: config.chooseFirst };
  }

  private direction({ enabled, minLength, contentTypes }: CompressedDirection, base: number): Direction {
    const taken = base + stats.UNCOMPRESSED_BYTES;
    const counts = { block: this.block, taken, given: base + stats.COMPRESSED_BYTES };
    return { enabled, minLength, contentTypes: new Set(contentTypes), base, counts };
  }
}

class CompressorFilter extends CodingFilter implements BodyUser {
  private readonly own: Compressor;
  private readonly negotiation: Negotiation;
  private accepted: string | undefined = undefined;

  constructor(callbacks: FilterCallbacks, own: Compressor) {
    super(callbacks);
    this.own = own;
    this.negotiation = Negotiation.of(callbacks.info);
    this.negotiation.add(own.candidate);
  }

  onRequestHead({ headers }: RequestHead, end: boolean): FilterStatus {
    const { own } = this;
    this.accepted = headers.joined('accept-encoding');
    if (this.accepted !== undefined && this.isEnabled() && this.removesAcceptEncoding())
      headers.remove('accept-encoding');
    const { request } = own;
    const fits =
      !end &&
      isOn(request.enabled, own.runtime) &&
      this.isLongEnough(request, headers) &&
      isOfType(request, headers) &&
      !headers.has('content-encoding') &&
      !this.isTunnel();
    if (fits) this.request = this.begin(request, headers, true);
    own.block.inc(request.base + (this.request === undefined ? stats.NOT_COMPRESSED : stats.COMPRESSED));
    return CONTINUE;
  }

  onResponseHead(head: ResponseHead, end: boolean): FilterStatus {
    const { headers } = head;
    const { own } = this;
    const { response } = own;
    // A local reply in the place of a response that was under way.
    this.response?.destroy();
    this.response = undefined;
    const mayBe = this.isEnabled() && this.isLongEnough(response, headers);
    const compressible =
      mayBe &&
      !(this.isTunnel() && (head.status === 101 || head.status === 200)) &&
      isOfType(response, headers) &&
      !forbidsTransform(headers) &&
      this.isEtagFine(headers) &&
      !headers.has('content-encoding');
    if (!end && mayBe && this.isAccepted(headers) && compressible) this.response = this.begin(response, headers, false);
    if (this.response !== undefined) settleEtag(headers);
    own.block.inc(response.base + (this.response === undefined ? stats.NOT_COMPRESSED : stats.COMPRESSED));
    // Caches learn that another client may get it in another coding.
    if (compressible) settleVary(headers);
    return CONTINUE;
  }

  /** Compressors take any bytes: this is a fault of the library or of its memory. */
  broken(): void {
    this.callbacks.sendLocalReply(500, '', 'compressor_failed');
  }

  private begin(direction: Direction, headers: HeaderMap, ofRequest: boolean): CodedBody | undefined {
    const { kind, block } = this.own;
    const held = ofRequest ? this.requestHeld : this.responseHeld;
    const body = startBody(kind, this.callbacks, ofRequest, direction.counts, this, held);
    if (body === undefined) {
      block.inc(stats.OVER_BUDGET);
      return undefined;
    }
    headers.remove('content-length');
    headers.set('content-encoding', kind.coding);
    return body;
  }

  private routeConfig(): CompressorRouteConfig | undefined {
    const config = this.callbacks.perRouteConfig();
    return config === undefined ? undefined : fromPlain<CompressorRouteConfig>(config);
  }

  private isEnabled(): boolean {
    const route = this.routeConfig();
    if (route?.disabled === true) return false;
    return route?.enabled ?? isOn(this.own.response.enabled, this.own.runtime);
  }

  private removesAcceptEncoding(): boolean {
    return this.routeConfig()?.removeAcceptEncoding ?? this.own.removeAcceptEncoding;
  }

  private isLongEnough({ minLength, base }: Direction, headers: HeaderMap): boolean {
    const length = headers.get('content-length');
    if (length === undefined || Number(length) >= minLength) return true;
    this.own.block.inc(base + stats.TOO_SMALL);
    return false;
  }

  /** What is no message with a body of its own: a WebSocket, a CONNECT. */
  private isTunnel(): boolean {
    const { request } = this.callbacks.info;
    return request.protocol !== undefined || request.method === 'CONNECT';
  }

  private isEtagFine(headers: HeaderMap): boolean {
    if (!this.own.disableOnEtag || !headers.has('etag')) return true;
    this.own.block.inc(stats.ETAG);
    return false;
  }

  private isAccepted(headers: HeaderMap): boolean {
    const { accepted, own } = this;
    if (accepted === undefined) {
      own.block.inc(stats.NO_ACCEPT_HEADER);
      return false;
    }
    const decision = this.negotiation.decide(accepted, typeOf(headers));
    const chosen = decision.coding === own.kind.coding;
    own.block.inc(reasonStat(decision, chosen));
    return chosen;
  }
}

function reasonStat({ reason }: Decision, chosen: boolean): number {
  switch (reason) {
    case 'compressor':
      return chosen ? stats.HEADER_USED : stats.HEADER_OVERSHADOWED;
    case 'identity':
      return stats.HEADER_IDENTITY;
    case 'wildcard':
      return stats.HEADER_WILDCARD;
    case 'not-valid':
      return stats.HEADER_NOT_VALID;
  }
}

/** Without parameters, in lower case; `undefined`: there is none. */
function typeOf(headers: HeaderMap): string | undefined {
  const type = headers.get('content-type');
  if (type === undefined) return undefined;
  const semicolon = type.indexOf(';');
  return (semicolon < 0 ? type : type.slice(0, semicolon)).trim().toLowerCase();
}

function isOfType({ contentTypes }: Direction, headers: HeaderMap): boolean {
  if (contentTypes.size === 0) return true;
  const type = typeOf(headers);
  return type === undefined || contentTypes.has(type);
}

function forbidsTransform(headers: HeaderMap): boolean {
  const control = headers.joined('cache-control');
  if (control === undefined) return false;
  return control.split(',').some((token) => token.trim().toLowerCase() === NO_TRANSFORM);
}

/** A strong one promises these very bytes (RFC 9110 §8.8.1). */
function settleEtag(headers: HeaderMap): void {
  const etag = headers.get('etag');
  if (etag !== undefined && !/^w\/./i.test(etag)) headers.remove('etag');
}

function settleVary(headers: HeaderMap): void {
  const vary = headers.joined('vary');
  if (vary === undefined) headers.add('vary', 'Accept-Encoding');
  else if (!vary.split(',').some((token) => token.trim() === 'Accept-Encoding'))
    headers.set('vary', `${vary}, Accept-Encoding`);
}

export const COMPRESSOR: HttpFilterFactory = {
  name: 'envoy.filters.http.compressor',
  typeUrl: 'envoy.extensions.filters.http.compressor.v3.Compressor',
  build(config, context) {
    const own = new Compressor(fromPlain<CompressorConfig>(config), context);
    return {
      create: (callbacks) => new CompressorFilter(callbacks, own),
      close: () => own.block.release(),
    };
  },
};
