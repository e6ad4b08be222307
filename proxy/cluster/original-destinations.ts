/**
 * ORIGINAL_DST: the endpoint is where the connection was going before it was redirected, or what a header says. Endpoints
 * appear with their first connection and are forgotten when nothing was sent to them for a while (Envoy's cleanup
 * interval, five seconds). They are this worker's own.
 */
import { isIP } from 'node:net';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Address } from '../../xds-client/model/common.ts';
import { addressText, type LoadBalancerContext } from '../upstream/contract.ts';
import { WorkerHost } from './host.ts';
import { privateSlot } from './shared.ts';

const FORGET_AFTER_MS = 5_000;

type Discovery = Extract<Cluster['discovery'], { readonly kind: 'original-dst' }>;

export class OriginalDestinations {
  private readonly cluster: string;
  private readonly discovery: Discovery;
  private readonly now: () => number;
  private readonly hosts = new Map<string, { readonly host: WorkerHost; usedAt: number }>();
  private sweptAt: number;

  constructor(cluster: string, discovery: Discovery, now: () => number) {
    this.cluster = cluster;
    this.discovery = discovery;
    this.now = now;
    this.sweptAt = now();
  }

  choose(context: LoadBalancerContext): WorkerHost | undefined {
    const address = this.addressOf(context);
    if (address === undefined) return undefined;
    const now = this.now();
    if (now - this.sweptAt > FORGET_AFTER_MS) this.sweep(now);
    const key = addressText(address);
    const known = this.hosts.get(key);
    if (known !== undefined) {
      known.usedAt = now;
      return known.host;
    }
    const endpoint = { address, hostname: '', health: 'unknown' as const, weight: 1, metadata: {} };
    const host = new WorkerHost(this.cluster, endpoint, privateSlot(), () => {});
    this.hosts.set(key, { host, usedAt: now });
    return host;
  }

  drainPools(): void {
    for (const { host } of this.hosts.values()) host.drainPools();
  }

  close(): void {
    for (const { host } of this.hosts.values()) host.retire();
    this.hosts.clear();
  }

  destroyPools(): void {
    for (const { host } of this.hosts.values()) host.destroyPools();
  }

  private sweep(now: number): void {
    this.sweptAt = now;
    for (const [key, { host, usedAt }] of this.hosts) {
      if (now - usedAt <= FORGET_AFTER_MS || host.activeRequests() > 0) continue;
      this.hosts.delete(key);
      host.retire();
    }
  }

  private addressOf({ downstream, head }: LoadBalancerContext): Address | undefined {
    const { useHeader, port } = this.discovery;
    const written = useHeader === undefined ? undefined : head?.headers.get(useHeader);
    if (written !== undefined) return parseAddress(written, port);
    if (downstream === undefined || !downstream.localAddressRestored) return undefined;
    return { kind: 'socket', host: downstream.localAddress, port: port ?? downstream.localPort };
  }
}

/** `ip:port` or `[ip6]:port`; anything else is no address. */
function parseAddress(text: string, port: number | undefined): Address | undefined {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '');
  const number = Number(text.slice(colon + 1));
  if (colon < 0 || isIP(host) === 0 || !Number.isInteger(number) || number < 1 || number > 65_535) return undefined;
  return { kind: 'socket', host, port: port ?? number };
}
