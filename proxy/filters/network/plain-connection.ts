/** A connection of a terminal filter that ends by itself soon or has nothing to end gracefully. */
import type { Socket } from 'node:net';
import type { NetworkConnection } from './contract.ts';

export class PlainConnection implements NetworkConnection {
  readonly retires = false;
  private readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => socket.destroy());
  }

  get activeStreams(): number {
    return this.socket.destroyed ? 0 : 1;
  }

  drain(): void {}

  retire(): void {}

  cut(): void {
    this.socket.destroy();
  }

  destroy(): void {
    this.socket.destroy();
  }
}
