/**
 * The main thread's end of the access logs: appends batches to files and the standard streams without blocking,
 * reopens files on demand or when somebody moved them away, holds a bounded amount and counts what it drops.
 */
import type { StatBlock } from '../stats/contract.ts';
import { FILESYSTEM } from '../stats/families.ts';
import type { SinkKey } from './queue.ts';
import { Sink } from './sink.ts';

/** Bytes that one sink may hold before lines are dropped. */
export const SINK_BYTES = 16 * 1024 * 1024;
/** How often a file's path is looked at, when there is something to write. */
const CHECK_INTERVAL_MS = 1000;

export interface AccessLogWriterOptions {
  /** A `FILESYSTEM_STATS` block under `filesystem.`. */
  readonly stats?: StatBlock;
  /** Told when a sink fails, once a message. */
  readonly onError?: (sink: SinkKey, message: string) => void;
  /** Milliseconds. */
  readonly now?: () => number;
  readonly sinkBytes?: number;
}

export class AccessLogWriter {
  /** Bytes dropped because a sink failed or did not keep up. */
  droppedBytes = 0;
  private readonly sinks = new Map<SinkKey, Sink>();
  private readonly checkedAt = new Map<SinkKey, number>();
  private readonly failures = new Map<SinkKey, string>();
  private readonly options: AccessLogWriterOptions;
  private readonly now: () => number;

  constructor(options: AccessLogWriterOptions = {}) {
    this.options = options;
    this.now = options.now ?? (() => performance.now());
  }

  /** An `access-log` message of a worker. */
  write(key: SinkKey, lines: string): void {
    const sink = this.sinks.get(key) ?? this.open(key);
    const bytes = Buffer.byteLength(lines);
    if (sink.pending + bytes > (this.options.sinkBytes ?? SINK_BYTES)) {
      this.droppedBytes += bytes;
      this.options.stats?.inc(FILESYSTEM.WRITE_FAILED);
      return;
    }
    this.options.stats?.inc(FILESYSTEM.WRITE_BUFFERED);
    sink.push(lines, bytes);
    this.showPending();
    const now = this.now();
    if (now - (this.checkedAt.get(key) ?? 0) < CHECK_INTERVAL_MS) return;
    this.checkedAt.set(key, now);
    sink.check();
  }

  /** `/reopen_logs` and SIGUSR1. */
  reopen(): void {
    for (const sink of this.sinks.values()) sink.reopen();
  }

  /** Writes what is held and closes; the last act of the process. */
  async close(): Promise<void> {
    const sinks = [...this.sinks.values()];
    this.sinks.clear();
    await Promise.all(sinks.map((sink) => sink.end()));
  }

  private open(key: SinkKey): Sink {
    const target = key.startsWith('file:') ? key.slice('file:'.length) : key === 'stderr' ? 2 : 1;
    const sink = new Sink(target, {
      written: () => {
        this.failures.delete(key);
        this.options.stats?.inc(FILESYSTEM.WRITE_COMPLETED);
        this.showPending();
      },
      failed: (message, lost) => {
        this.droppedBytes += lost;
        this.options.stats?.inc(FILESYSTEM.WRITE_FAILED);
        this.showPending();
        if (this.failures.get(key) === message) return;
        this.failures.set(key, message);
        this.options.onError?.(key, message);
      },
    });
    this.sinks.set(key, sink);
    return sink;
  }

  private showPending(): void {
    if (this.options.stats === undefined) return;
    let bytes = 0;
    for (const sink of this.sinks.values()) bytes += sink.pending;
    this.options.stats.set(FILESYSTEM.WRITE_TOTAL_BUFFERED, bytes);
  }
}
