/** What compressor and decompressor do alike: each body that is coded goes through its stage, and both ways wait as they are told. */
import type { HeaderMap } from '../../http/headers.ts';
import type { CodedBody } from './coded-body.ts';
import { CONTINUE, type FilterCallbacks, type FilterStatus, type HttpFilter, TAKE } from './contract.ts';

export abstract class CodingFilter implements HttpFilter {
  protected readonly callbacks: FilterCallbacks;
  /** Bodies that are coded; `undefined`: they pass as they are. */
  protected request: CodedBody | undefined = undefined;
  protected response: CodedBody | undefined = undefined;
  /** The next stage takes no more: so a body begins, too. */
  protected requestHeld = false;
  protected responseHeld = false;

  constructor(callbacks: FilterCallbacks) {
    this.callbacks = callbacks;
  }

  onRequestData(chunk: Buffer, end: boolean): FilterStatus {
    if (this.request === undefined) return CONTINUE;
    this.request.write(chunk, end);
    return TAKE;
  }

  onRequestTrailers(trailers: HeaderMap): FilterStatus {
    if (this.request === undefined) return CONTINUE;
    this.request.finish(trailers);
    return TAKE;
  }

  onResponseData(chunk: Buffer, end: boolean): FilterStatus {
    if (this.response === undefined) return CONTINUE;
    this.response.write(chunk, end);
    return TAKE;
  }

  onResponseTrailers(trailers: HeaderMap): FilterStatus {
    if (this.response === undefined) return CONTINUE;
    this.response.finish(trailers);
    return TAKE;
  }

  onRequestBlocked(blocked: boolean): void {
    this.requestHeld = blocked;
    this.request?.hold(blocked);
  }

  onResponseBlocked(blocked: boolean): void {
    this.responseHeld = blocked;
    this.response?.hold(blocked);
  }

  onDestroy(): void {
    this.request?.destroy();
    this.response?.destroy();
  }
}
