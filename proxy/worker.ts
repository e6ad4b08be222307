/** A worker thread's entrance: the data side on one thread. Its settings are the first message. */
import { parentPort } from 'node:worker_threads';
import { keepCompiledCode } from './compiled-code.ts';
import { DataPlane } from './data-plane.ts';
import type { ToWorker } from './messages.ts';
import type { WorkerSettings } from './worker-settings.ts';

const port = parentPort;
if (port === null) throw new Error('worker.ts is started by the main thread only');
let plane: DataPlane | undefined;
port.on('message', (message: WorkerSettings | ToWorker) => {
  if ('type' in message) plane?.handle(message);
  else plane = new DataPlane(message, (answer) => port.postMessage(answer));
});
keepCompiledCode();
