/**
 * The upstream of a CONNECT that ends here: a raw connection in the clothes of an HTTP stream. Its response is a 200 as soon
 * as it is connected, the body whatever comes.
 */
import { ClusterStat } from '../../../cluster/stats.ts';
import { keepBytes } from '../../../http/bytes.ts';
import { HeaderMap, type RequestHead } from '../../../http/headers.ts';
import type { ClientStream, ClientStreamHandler, ResetReason } from '../../../http/stream.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';
import type { Host, PoolCallbacks, TcpPoolCallbacks, UpstreamTcpConnection } from '../../../upstream/contract.ts';

const NOTHING = Buffer.alloc(0);

export class TcpStream implements ClientStream, TcpPoolCallbacks {
  bytesSent = false;
  private readonly attempt: ClientStreamHandler & PoolCallbacks;
  private readonly stats: StatBlock;
  private connection: UpstreamTcpConnection | undefined = undefined;
  private pauses = 0;
  private over = false;

  constructor(attempt: ClientStreamHandler & PoolCallbacks, stats: StatBlock) {
    this.attempt = attempt;
    this.stats = stats;
  }

  // From the pool.

  onReady(connection: UpstreamTcpConnection, host: Host): void {
    const { socket, localAddress, tls } = connection;
    this.connection = connection;
    connection.onBytes = (chunk) => this.onData(chunk);
    socket.on('end', () => this.onEnd());
    socket.on('drain', () => this.attempt.onDrain());
    socket.on('close', () => this.onClose());
    this.attempt.onReady(this, host, { protocol: undefined, localAddress, tls, streamsStarted: 1 });
  }

  onFailure(reason: ResetReason, host: Host | undefined, details: string | undefined): void {
    this.attempt.onFailure(reason, host, details);
  }

  // From the router.

  sendHead(_head: RequestHead, end: boolean): boolean {
    if (end) this.connection?.socket.end();
    this.attempt.onHead({ status: 200, headers: new HeaderMap() }, false);
    return true;
  }

  sendData(chunk: Buffer, end: boolean): boolean {
    const socket = this.connection?.socket;
    if (socket === undefined || this.over) return true;
    let writable = true;
    if (chunk.length > 0) {
      this.bytesSent = true;
      this.stats.add(ClusterStat.upstream_cx_tx_bytes_total, chunk.length);
      writable = socket.write(keepBytes(chunk));
    }
    if (end) socket.end();
    return writable;
  }

  sendTrailers(): void {
    this.connection?.socket.end();
  }

  reset(): void {
    this.over = true;
    this.connection?.socket.destroy();
  }

  pause(): void {
    this.pauses++;
    this.connection?.socket.pause();
  }

  resume(): void {
    this.pauses--;
    if (this.pauses === 0) this.connection?.socket.resume();
  }

  private onData(chunk: Buffer): void {
    if (this.over) return;
    this.stats.add(ClusterStat.upstream_cx_rx_bytes_total, chunk.length);
    this.attempt.onData(chunk, false);
  }

  private onEnd(): void {
    if (this.over) return;
    this.over = true;
    this.attempt.onData(NOTHING, true);
    // Both sides are done, or nobody is left who would read.
    this.connection?.socket.destroySoon();
  }

  private onClose(): void {
    if (this.over) return;
    this.over = true;
    this.attempt.onReset('connection-termination', undefined);
  }
}
