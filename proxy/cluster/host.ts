/** An endpoint as this worker holds it. Lives as long as a configuration names it or anything is under way on it. */
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import type { BalancerHost, HostHealth } from '../balancer/contract.ts';
import { addressText, type Priority } from '../upstream/contract.ts';
import type { HttpPool } from '../upstream/http-pool.ts';
import type { PoolHost } from '../upstream/pool-context.ts';
import { TcpPool } from '../upstream/tcp-pool.ts';
import { healthOf, isExcluded } from './health.ts';
import { EndpointCell, type Slot } from './shared.ts';

/** What a host keeps open: pools by the key that tells their connections apart. */
export interface HostPools {
  readonly http: Map<string, HttpPool>;
  readonly tcp: Map<string, TcpPool>;
}

/** One row a priority. */
type PoolsByPriority = { readonly [priority in Priority]: HostPools };

export class WorkerHost implements PoolHost, BalancerHost {
  endpoint: Endpoint;
  readonly cluster: string;
  readonly addressText: string;
  readonly pools: PoolsByPriority = {
    default: { http: new Map(), tcp: new Map() },
    high: { http: new Map(), tcp: new Map() },
  };
  /** Pools with anything in them, drained ones included. */
  private readonly live = new Set<HttpPool | TcpPool>();
  private readonly cells: Int32Array;
  private readonly base: number;
  private readonly letGo: () => void;
  /** Connections, requests and waiting wishes of this worker. */
  private held = 0;
  private retired = false;
  private gone = false;

  /** `letGo` is called once, when the endpoint is retired and nothing is under way on it. */
  constructor(cluster: string, endpoint: Endpoint, slot: Slot, letGo: () => void) {
    this.cluster = cluster;
    this.endpoint = endpoint;
    this.addressText = addressText(endpoint.address);
    this.cells = slot.cells;
    this.base = slot.base;
    this.letGo = letGo;
  }

  get weight(): number {
    return this.endpoint.weight;
  }

  get health(): HostHealth {
    return healthOf(this.endpoint.health, this.healthFlags());
  }

  get excluded(): boolean {
    return isExcluded(this.endpoint.health, this.healthFlags());
  }

  get healthy(): boolean {
    return this.health !== 'unhealthy';
  }

  activeRequests(): number {
    return this.gone ? 0 : Atomics.load(this.cells, this.base + EndpointCell.requestsActive);
  }

  connectionOpened(): void {
    this.hold();
    this.count(EndpointCell.connections, 1);
    this.count(EndpointCell.connectionsActive, 1);
  }

  connectionClosed(): void {
    this.count(EndpointCell.connectionsActive, -1);
    this.unhold();
  }

  connectFailed(): void {
    this.count(EndpointCell.connectFailures, 1);
  }

  requestStarted(): void {
    this.hold();
    this.count(EndpointCell.requests, 1);
    this.count(EndpointCell.requestsActive, 1);
  }

  requestEnded(): void {
    this.count(EndpointCell.requestsActive, -1);
    this.unhold();
  }

  pendingAdded(): void {
    this.hold();
    this.count(EndpointCell.pendingActive, 1);
  }

  pendingRemoved(): void {
    this.count(EndpointCell.pendingActive, -1);
    this.unhold();
  }

  /** What came of a request, for the endpoint's statistics. Harmless after the endpoint is gone. */
  reported(result: 'success' | 'error'): void {
    this.count(result === 'success' ? EndpointCell.successes : EndpointCell.errors, 1);
  }

  /**
   * It fails its health checks: what it carries may end, and what comes later gets new connections, which may go another
   * way. `closeTcp`: connections of tcp_proxy end now.
   */
  failedHealth(closeTcp: boolean): void {
    this.drainPools();
    if (!closeTcp) return;
    for (const pool of [...this.live]) if (pool instanceof TcpPool) pool.destroy();
  }

  /** Lets connections end as they become idle; new pools are made for new requests. */
  drainPools(): void {
    for (const { http, tcp } of [this.pools.default, this.pools.high]) {
      http.clear();
      tcp.clear();
    }
    for (const pool of [...this.live]) pool.drain();
  }

  /** Closes everything now, requests under way included. */
  destroyPools(): void {
    for (const pool of [...this.live]) pool.destroy();
  }

  addPool<P extends HttpPool | TcpPool>(pools: Map<string, P>, key: string, pool: P): P {
    pools.set(key, pool);
    this.live.add(pool);
    // Chosen before it was retired: the request may go, its connection may not stay.
    if (this.retired) pool.drain();
    return pool;
  }

  /** The pool has nothing left: names in requests must not make pools pile up. */
  removePool<P extends HttpPool | TcpPool>(pools: Map<string, P>, key: string, pool: P): void {
    if (pools.get(key) === pool) pools.delete(key);
    this.live.delete(pool);
  }

  /** No configuration names it any more: what is under way goes on. */
  retire(): void {
    if (this.retired) return;
    this.retired = true;
    this.drainPools();
    this.settle();
  }

  private healthFlags(): number {
    return this.gone ? 0 : Atomics.load(this.cells, this.base + EndpointCell.healthFlags);
  }

  private hold(): void {
    this.held++;
  }

  private unhold(): void {
    this.held--;
    this.settle();
  }

  private settle(): void {
    if (!this.retired || this.held > 0 || this.gone) return;
    this.gone = true;
    this.letGo();
  }

  /** Nothing is written once the slot may have another owner. */
  private count(cell: number, amount: number): void {
    if (!this.gone) Atomics.add(this.cells, this.base + cell, amount);
  }
}
