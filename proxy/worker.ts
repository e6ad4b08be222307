/** A worker thread's entrance: the data side on one thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { DataPlane } from './data-plane.ts';
import type { ToWorker } from './messages.ts';
import type { WorkerSettings } from './worker-settings.ts';

const port = parentPort;
if (port === null) throw new Error('worker.ts is started by the main thread only');
const plane = new DataPlane(workerData as WorkerSettings, (message) => port.postMessage(message));
port.on('message', (message: ToWorker) => plane.handle(message));
