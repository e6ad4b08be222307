/** Finished spans on their way to the main thread: a batch every 100 ms, or as soon as it is full. */
import type { SpanRecord } from './contract.ts';

export const FLUSH_INTERVAL_MS = 100;
/** Spans a batch. */
export const BATCH_SPANS = 256;

export interface SpanQueueOptions {
  readonly schedule?: (body: () => void, ms: number) => void;
}

export class SpanQueue {
  private spans: SpanRecord[] = [];
  private scheduled = false;
  private readonly post: (spans: readonly SpanRecord[]) => void;
  private readonly schedule: (body: () => void, ms: number) => void;

  constructor(post: (spans: readonly SpanRecord[]) => void, options: SpanQueueOptions = {}) {
    this.post = post;
    this.schedule = options.schedule ?? ((body, ms) => void setTimeout(body, ms).unref());
  }

  push(span: SpanRecord): void {
    if (this.spans.push(span) >= BATCH_SPANS) {
      this.flush();
      return;
    }
    if (this.scheduled) return;
    this.scheduled = true;
    this.schedule(() => {
      this.scheduled = false;
      this.flush();
    }, FLUSH_INTERVAL_MS);
  }

  /** Sends everything now; before a worker stops. */
  flush(): void {
    if (this.spans.length === 0) return;
    const { spans } = this;
    this.spans = [];
    this.post(spans);
  }
}
