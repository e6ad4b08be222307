/** One file or standard stream that is appended to without blocking. */
import { close, fstat, open, stat, write } from 'node:fs';

/** Wait before a full pipe is tried again. */
const RETRY_MS = 10;

export interface SinkEvents {
  written(bytes: number): void;
  /** The lines held are lost; the next ones try to open the file anew. */
  failed(message: string, lostBytes: number): void;
}

export class Sink {
  /** Bytes held. */
  pending = 0;
  private readonly path: string | undefined;
  private readonly events: SinkEvents;
  private fd: number | undefined;
  private inode = -1;
  private busy = false;
  private stale = false;
  private closing = false;
  private queue: string[] = [];
  private idle: (() => void)[] = [];

  /** `target`: a path, or the descriptor of a standard stream. */
  constructor(target: string | 1 | 2, events: SinkEvents) {
    this.path = typeof target === 'string' ? target : undefined;
    this.fd = typeof target === 'string' ? undefined : target;
    this.events = events;
  }

  push(lines: string, bytes: number): void {
    this.pending += bytes;
    this.queue.push(lines);
    this.work();
  }

  /** The next write opens the path again. */
  reopen(): void {
    if (this.path === undefined) return;
    this.stale = true;
    this.work();
  }

  /** Reopens when the path names no longer the file that is written to. */
  check(): void {
    const { path, inode } = this;
    if (path === undefined || this.fd === undefined) return;
    stat(path, (error, found) => {
      if (error !== null || found.ino !== inode) this.reopen();
    });
  }

  /** Resolves when everything held is written or lost, and the file is closed. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.closing = true;
      this.idle.push(resolve);
      this.work();
    });
  }

  private work(): void {
    if (this.busy) return;
    if (this.stale && this.fd !== undefined && this.path !== undefined) {
      close(this.fd);
      this.fd = undefined;
    }
    this.stale = false;
    if (this.queue.length === 0) {
      this.rest();
      return;
    }
    this.busy = true;
    if (this.fd === undefined) this.open();
    else {
      // One write takes whatever came while the last one ran.
      const bytes = Buffer.from(this.queue.join(''));
      this.queue = [];
      this.put(this.fd, bytes);
    }
  }

  private rest(): void {
    if (this.closing && this.path !== undefined && this.fd !== undefined) {
      close(this.fd);
      this.fd = undefined;
    }
    for (const resolve of this.idle) resolve();
    this.idle = [];
  }

  private open(): void {
    open(this.path as string, 'a', 0o644, (error, fd) => {
      if (error !== null) {
        this.fail(error.message);
        return;
      }
      this.fd = fd;
      fstat(fd, (_error, found) => {
        this.inode = found?.ino ?? -1;
        this.busy = false;
        this.work();
      });
    });
  }

  private put(fd: number, bytes: Buffer): void {
    write(fd, bytes, (error, written) => {
      if (error !== null && error.code === 'EAGAIN') {
        setTimeout(() => this.put(fd, bytes), RETRY_MS);
        return;
      }
      if (error !== null) {
        if (this.path !== undefined) this.stale = true;
        this.fail(error.message);
        return;
      }
      this.pending -= written;
      if (written < bytes.length) {
        this.put(fd, bytes.subarray(written));
        return;
      }
      this.busy = false;
      this.events.written(written);
      this.work();
    });
  }

  private fail(message: string): void {
    const lost = this.pending;
    this.pending = 0;
    this.queue = [];
    this.busy = false;
    this.events.failed(message, lost);
    this.work();
  }
}
