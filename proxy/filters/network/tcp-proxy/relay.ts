/**
 * Bytes from one socket to the other and back. Each direction ends on its own (half-close); a side that does not read
 * stops the other from being read.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

export interface RelayEvents {
  onBytes(direction: Direction, count: number): void;
  onPaused(direction: Direction): void;
  onResumed(direction: Direction): void;
}

/** `request`: from the downstream to the upstream. */
export type Direction = 'request' | 'response';

/** Starts both directions. Errors and closing are the caller's. Both sockets allow half-open. */
export function relay(downstream: Socket, upstream: Socket, events: RelayEvents): void {
  forward(downstream, upstream, 'request', events);
  forward(upstream, downstream, 'response', events);
}

function forward(from: Socket, to: Socket, direction: Direction, events: RelayEvents): void {
  from.on('data', (chunk: Buffer) => {
    events.onBytes(direction, chunk.length);
    if (to.write(chunk)) return;
    from.pause();
    events.onPaused(direction);
  });
  to.on('drain', () => {
    if (!from.isPaused()) return;
    from.resume();
    events.onResumed(direction);
  });
  from.on('end', () => to.end());
}

/** The other side reset the connection (RST), rather than closing it. */
export function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET';
}

/** Closes with RST where the socket is TCP; TLS and pipes have none. */
export function resetSocket(socket: Socket): void {
  // While a FIN is on its way libuv refuses to reset, and Node then never closes the socket at all.
  const ending = socket.writableEnded && !socket.writableFinished;
  if (ending || socket instanceof TLSSocket || socket.remotePort === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
