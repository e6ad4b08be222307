/**
 * Decompresses requests and responses of one coding, and tells upstreams that it can. How a body is decompressed as it
 * streams, and what bounds it: proxy/http/coding-stage.ts; of one byte at most `max_inflate_ratio` may come.
 *
 * A body that is broken, cut off or too much ends its request: 400 for a request, a reset for a response (502 while its
 * head is here). Envoy passes on what it could read as if that were all; half a payment must not look like a whole one.
 *
 * Of several codings the last was applied last and is taken off first (RFC 9110 §8.4); Envoy takes the first.
 */
import type { DecompressedDirection, DecompressorConfig } from '../../../../xds-client/model/filters/compression.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import { decompressing, type StageKind } from '../../../http/coding-stage.ts';
import { HeaderMap, type RequestHead, type ResponseHead } from '../../../http/headers.ts';
import { ResponseFlag } from '../../../http/stream-info.ts';
import type { StatBlock, StatFamily } from '../../../observe/stats/contract.ts';
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
  STOP,
} from '../contract.ts';
import { LibraryErrors, TOO_MUCH } from './library-errors.ts';

const OF_DIRECTION = ['decompressed', 'not_decompressed', 'total_uncompressed_bytes', 'total_compressed_bytes'];
const DECOMPRESSED = 0;
const NOT_DECOMPRESSED = 1;
const UNCOMPRESSED_BYTES = 2;
const COMPRESSED_BYTES = 3;
const names = [...OF_DIRECTION.map((name) => `request.${name}`), ...OF_DIRECTION.map((name) => `response.${name}`)];
const STATS: StatFamily = { names, kinds: names.map(() => 'counter') };

/** What a body is refused with. */
const BROKEN = 'decompressor_broken_body';
const EXCESSIVE = 'decompressor_excessive_body';
const OVERLOADED = 'decompressor_overloaded';

interface Direction extends DecompressedDirection {
  readonly base: number;
  readonly counts: BodyCounts;
}

/** A configured decompressor. */
class Decompressor {
  readonly kind: StageKind;
  readonly block: StatBlock;
  readonly errors: LibraryErrors;
  readonly request: Direction;
  readonly response: Direction;
  readonly maxRatio: number;
  readonly freeBytes: number;
  readonly advertises: boolean;
  readonly runtime: Runtime;
  readonly compressedName: string;
  readonly uncompressedName: string;

  constructor(config: DecompressorConfig, context: FilterContext) {
    const { name, library } = config;
    const prefix = `${context.statPrefix}decompressor.${name}.${library.kind}.`;
    this.kind = decompressing(library);
    this.block = context.stats.block(prefix, STATS);
    this.errors = new LibraryErrors(prefix, library.kind, (stat) => context.counter(stat));
    this.request = this.direction(config.request, 0);
    this.response = this.direction(config.response, OF_DIRECTION.length);
    this.maxRatio = library.maxRatio;
    this.freeBytes = library.freeBytes;
    this.advertises = config.advertise;
    this.runtime = context.runtime;
    this.compressedName = `x-envoy-decompressor-${name.toLowerCase()}-compressed-bytes`;
    this.uncompressedName = `x-envoy-decompressor-${name.toLowerCase()}-uncompressed-bytes`;
  }

  private direction(config: DecompressedDirection, base: number): Direction {
    const counts = { block: this.block, taken: base + COMPRESSED_BYTES, given: base + UNCOMPRESSED_BYTES };
    return { ...config, base, counts };
  }
}

class DecompressorFilter extends CodingFilter implements BodyUser {
  private readonly own: Decompressor;
  /** A reply of ours is under way: it is not looked at. */
  private refused = false;

  constructor(callbacks: FilterCallbacks, own: Decompressor) {
    super(callbacks);
    this.own = own;
  }

  onRequestHead({ headers }: RequestHead, end: boolean): FilterStatus {
    const { own } = this;
    if (own.advertises && isOn(own.response.enabled, own.runtime)) {
      const accepted = headers.joined('accept-encoding');
      headers.set('accept-encoding', accepted === undefined ? own.kind.coding : `${accepted},${own.kind.coding}`);
    }
    if (end) return CONTINUE;
    return this.begin(own.request, headers, true);
  }

  onResponseHead({ headers }: ResponseHead, end: boolean): FilterStatus {
    // A local reply in the place of a response that was under way.
    this.response?.destroy();
    this.response = undefined;
    if (end || this.refused) return CONTINUE;
    return this.begin(this.own.response, headers, false);
  }

  passes(body: CodedBody): boolean {
    const { maxRatio, freeBytes } = this.own;
    if (body.bytesOut <= body.bytesIn * maxRatio + freeBytes) return true;
    this.own.errors.count(TOO_MUCH);
    this.refuse(body, EXCESSIVE);
    return false;
  }

  /** Envoy's trailers with the two sizes, behind those that came. */
  ending(body: CodedBody, trailers: HeaderMap | undefined): HeaderMap {
    const all = trailers ?? new HeaderMap();
    all.set(this.own.compressedName, String(body.bytesIn));
    all.set(this.own.uncompressedName, String(body.bytesOut));
    return all;
  }

  broken(body: CodedBody, error: NodeJS.ErrnoException): void {
    this.own.errors.count(error.code ?? '');
    this.refuse(body, BROKEN);
  }

  private begin(direction: Direction, headers: HeaderMap, ofRequest: boolean): FilterStatus {
    const { kind, block, runtime } = this.own;
    const codings = headers.joined('content-encoding');
    const comma = codings === undefined ? -1 : codings.lastIndexOf(',');
    const fits =
      isOn(direction.enabled, runtime) &&
      codings !== undefined &&
      codings
        .slice(comma + 1)
        .trim()
        .toLowerCase() === kind.coding &&
      (direction.ignoreNoTransform || !forbidsTransform(headers));
    if (!fits) {
      block.inc(direction.base + NOT_DECOMPRESSED);
      return CONTINUE;
    }
    const held = ofRequest ? this.requestHeld : this.responseHeld;
    const body = startBody(kind, this.callbacks, ofRequest, direction.counts, this, held);
    if (body === undefined) return this.overload();
    if (ofRequest) this.request = body;
    else this.response = body;
    block.inc(direction.base + DECOMPRESSED);
    headers.remove('content-length');
    if (comma < 0) headers.remove('content-encoding');
    else headers.set('content-encoding', codings.slice(0, comma).trim());
    return CONTINUE;
  }

  /** The other side expects it decompressed: it cannot pass as it is. */
  private overload(): FilterStatus {
    this.refused = true;
    this.callbacks.sendLocalReply(503, '', OVERLOADED);
    return STOP;
  }

  private refuse(body: CodedBody, details: string): void {
    body.destroy();
    this.refused = true;
    if (!body.ofRequest) this.callbacks.info.flags |= ResponseFlag.UpstreamProtocolError;
    // A reset where the response's head has gone.
    this.callbacks.sendLocalReply(body.ofRequest ? 400 : 502, '', details);
  }
}

function forbidsTransform(headers: HeaderMap): boolean {
  const control = headers.joined('cache-control');
  if (control === undefined) return false;
  return control.split(',').some((token) => token.trim().toLowerCase() === 'no-transform');
}

export const DECOMPRESSOR: HttpFilterFactory = {
  name: 'envoy.filters.http.decompressor',
  typeUrl: 'envoy.extensions.filters.http.decompressor.v3.Decompressor',
  build(config, context) {
    const own = new Decompressor(fromPlain<DecompressorConfig>(config), context);
    return {
      create: (callbacks) => new DecompressorFilter(callbacks, own),
      close: () => own.block.release(),
    };
  },
};
