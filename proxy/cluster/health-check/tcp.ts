/** TCP: a connection is enough, or bytes are sent and others have to come back. */
import type { Socket } from 'node:net';
import type { TcpProbe } from '../../../xds-client/model/health-check.ts';
import { type Checker, type CheckTarget, type Dialed, SUCCESS, UNREACHABLE } from './contract.ts';
import { payloadBytes, payloadMatches } from './payload.ts';

/** An endpoint that answers with something else must not fill our memory until the timeout. */
const MAX_HELD_BYTES = 1 << 20;

export class TcpChecker implements Checker {
  private readonly target: CheckTarget;
  private readonly alpn: readonly string[];
  private readonly send: Buffer | undefined;
  private readonly receive: readonly Buffer[];
  private dialed: Dialed | undefined = undefined;
  private socket: Socket | undefined = undefined;
  private held: Buffer = Buffer.alloc(0);
  private busy = false;

  constructor(probe: TcpProbe, alpn: readonly string[], target: CheckTarget) {
    this.target = target;
    this.alpn = alpn;
    this.send = probe.send === undefined ? undefined : payloadBytes(probe.send);
    this.receive = probe.receive.map(payloadBytes);
  }

  check(): void {
    if (this.dialed?.stale === true) this.drop();
    this.busy = true;
    this.held = Buffer.alloc(0);
    if (this.socket !== undefined) {
      this.begin(this.socket);
      return;
    }
    this.dialed = this.target.dial(this.alpn, {
      onReady: (socket) => {
        this.socket = socket;
        socket.on('data', (data: Buffer) => this.received(data));
        this.begin(socket);
      },
      onClosed: () => {
        this.dialed = undefined;
        this.socket = undefined;
        // Between two checks it counts as well: an endpoint that ends connections is not well.
        this.busy = false;
        this.target.report(UNREACHABLE);
      },
    });
  }

  abort(): void {
    this.busy = false;
    this.drop();
  }

  close(): void {
    this.abort();
  }

  private begin(socket: Socket): void {
    if (this.receive.length === 0) {
      this.drop();
      this.succeed();
    } else if (this.send !== undefined) {
      socket.write(this.send);
    }
  }

  private received(data: Buffer): void {
    if (!this.busy) return;
    this.held = Buffer.concat([this.held, data]).subarray(-MAX_HELD_BYTES);
    if (!payloadMatches(this.receive, this.held)) return;
    if (!this.target.reuseConnection) this.drop();
    this.succeed();
  }

  private succeed(): void {
    this.busy = false;
    this.target.report(SUCCESS);
  }

  private drop(): void {
    this.dialed?.destroy();
    this.dialed = undefined;
    this.socket = undefined;
  }
}
