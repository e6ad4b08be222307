/**
 * Lines on their way to the main thread, one batch a sink, sent at most every 100 ms or at 64 KiB. A worker whose main
 * thread does not keep up is none of its concern: the writer bounds what it holds and counts what it drops.
 */

/** Where a line goes: `stdout`, `stderr` or `file:<path>`. */
export type SinkKey = string;

export const FLUSH_INTERVAL_MS = 100;
export const FLUSH_BYTES = 64 * 1024;

export interface LineQueueOptions {
  readonly schedule?: (body: () => void, ms: number) => void;
}

export class LineQueue {
  private readonly pending = new Map<SinkKey, string>();
  private scheduled = false;
  private readonly post: (sink: SinkKey, lines: string) => void;
  private readonly schedule: (body: () => void, ms: number) => void;

  constructor(post: (sink: SinkKey, lines: string) => void, options: LineQueueOptions = {}) {
    this.post = post;
    this.schedule = options.schedule ?? ((body, ms) => void setTimeout(body, ms).unref());
  }

  /** `line` ends with its newline. */
  push(sink: SinkKey, line: string): void {
    const lines = (this.pending.get(sink) ?? '') + line;
    if (lines.length >= FLUSH_BYTES) {
      this.pending.delete(sink);
      this.post(sink, lines);
      return;
    }
    this.pending.set(sink, lines);
    if (this.scheduled) return;
    this.scheduled = true;
    this.schedule(() => {
      this.scheduled = false;
      this.flush();
    }, FLUSH_INTERVAL_MS);
  }

  /** Sends everything now; before a worker stops. */
  flush(): void {
    for (const [sink, lines] of this.pending) this.post(sink, lines);
    this.pending.clear();
  }
}
