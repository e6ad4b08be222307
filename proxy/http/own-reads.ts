/**
 * Accepted sockets that read into the thread's buffers (./read-buffer.ts). `node:net` has `onread` for sockets that it makes
 * itself and none for those that a server accepts, which get 64 KiB of fresh memory for every read and pass it through
 * the stream machinery: measured at about a tenth of a small request, and for long uploads the collector's whole time. So
 * the accepted socket's handle is given to a new socket with `onread`, as `node:tls` gives its handles. Where this Node does not
 * have what that takes, the socket is left as it is.
 */
import { Buffer } from 'node:buffer';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { readInto } from './read-buffer.ts';

export interface OwnReads {
  /** Takes the accepted socket's place; the accepted one closes when this one has, and the other way round. */
  readonly socket: Socket;
  /** What had come before: to be looked at first. */
  readonly pending: Buffer | undefined;
}

/** `onBytes` follows the rule of ./bytes.ts. `undefined`: read from `accepted` as ever. */
export function ownReads(accepted: Socket, onBytes: (bytes: Buffer) => void): OwnReads | undefined {
  const handle: unknown = Reflect.get(accepted, '_handle');
  if (accepted.destroyed || !isStreamHandle(handle)) return undefined;
  const { readableLength } = accepted;
  // Without its count `read` may give the first of several chunks alone, when somebody has looked at the socket before.
  const pending: unknown = readableLength > 0 ? accepted.read(readableLength) : undefined;
  // The end of the input, if it has come, is then told to the new socket too.
  handle.readStop();
  handle.reading = false;
  Reflect.set(accepted, '_handle', null);
  const reads = readInto(onBytes, () => socket.destroy());
  const options: SocketConstructorOpts = { allowHalfOpen: true, onread: reads.onread };
  const socket = new Socket(Object.assign(options, { handle }));
  socket.once('close', () => {
    reads.close();
    accepted.destroy();
  });
  accepted.once('close', () => socket.destroy());
  return { socket, pending: Buffer.isBuffer(pending) ? pending : undefined };
}

/** What is used of Node's handle. */
interface StreamHandle {
  readStop(): void;
  useUserBuffer(buffer: Uint8Array): void;
  reading: boolean;
}

function isStreamHandle(handle: unknown): handle is StreamHandle {
  if (typeof handle !== 'object' || handle === null) return false;
  return (
    typeof Reflect.get(handle, 'readStop') === 'function' &&
    typeof Reflect.get(handle, 'useUserBuffer') === 'function' &&
    typeof Reflect.get(handle, 'reading') === 'boolean'
  );
}
