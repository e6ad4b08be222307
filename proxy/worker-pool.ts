/**
 * The workers as the main thread sees them: starts them, hands every message to all of them, collects what they say.
 * `--concurrency 0` runs the data side in the main thread, behind the same interface.
 */
import { createRequire } from 'node:module';
import type { Worker } from 'node:worker_threads';
import { ProxyError } from './errors.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import type { WorkerSettings } from './worker-settings.ts';

export interface WorkerPoolEvents {
  message(worker: number, message: FromWorker): void;
  /** A worker ended by itself: the process cannot keep its promises any more. */
  failed(worker: number, error: Error): void;
}

interface Member {
  post(message: ToWorker): void;
  /** Ends the thread; its connections are gone. */
  terminate(): Promise<void>;
}

export class WorkerPool {
  /** How many tables receive each message. */
  readonly size: number;
  private readonly members: Member[] = [];
  private ending = false;

  /** Takes started threads over; without any, one data plane runs in this thread. */
  constructor(threads: readonly Worker[], settings: Omit<WorkerSettings, 'index'>, events: WorkerPoolEvents) {
    this.size = Math.max(1, threads.length);
    for (const [index, thread] of threads.entries()) {
      this.members.push(this.inThread(thread, { ...settings, index }, events));
    }
    if (threads.length === 0) this.members.push(inThisThread({ ...settings, index: 0 }, events));
  }

  /** To one of them. */
  post(worker: number, message: ToWorker): void {
    this.members[worker]?.post(message);
  }

  /** To every worker, in order. */
  broadcast(message: ToWorker): void {
    for (const member of this.members) member.post(message);
  }

  async terminate(): Promise<void> {
    this.ending = true;
    await Promise.all(this.members.map((member) => member.terminate()));
  }

  private inThread(worker: Worker, settings: WorkerSettings, events: WorkerPoolEvents): Member {
    worker.postMessage(settings);
    worker.on('message', (message: FromWorker) => events.message(settings.index, message));
    worker.on('error', (error) =>
      events.failed(settings.index, error instanceof Error ? error : new Error(String(error))),
    );
    worker.on('exit', (code) => {
      if (this.ending) return;
      events.failed(settings.index, new ProxyError('worker-ended', `worker ${settings.index} ended with code ${code}`));
    });
    return {
      post: (message) => worker.postMessage(message),
      terminate: async () => {
        await worker.terminate();
      },
    };
  }
}

function inThisThread(settings: WorkerSettings, events: WorkerPoolEvents): Member {
  // The data side's code is not the main thread's but here.
  const { DataPlane } = createRequire(import.meta.url)('./data-plane.ts') as typeof import('./data-plane.ts');
  const plane = new DataPlane(settings, (message) => events.message(settings.index, message));
  // As between threads: what is posted arrives later, never inside the call that posts it.
  return {
    post: (message) => queueMicrotask(() => plane.handle(message)),
    terminate: async () => plane.handle({ type: 'stop' }),
  };
}
