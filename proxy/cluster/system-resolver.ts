/** The machine's own resolution: /etc/hosts and getaddrinfo, or the name servers themselves where the TTL is wanted. */
import { lookup, resolve4, resolve6 } from 'node:dns/promises';
import type { DnsResolver, DnsTimers, ResolvedAddress } from './dns.ts';

/** Codes by which a resolver says that the name has no such record. */
const NO_RECORD = new Set(['ENODATA', 'EAI_NODATA', 'EAI_ADDRFAMILY', 'ENOTFOUND', 'EAI_NONAME']);

/** Node's timers; they keep no process alive. */
export const systemTimers: DnsTimers = {
  set: (callback, ms) => setTimeout(callback, Math.min(ms, 2 ** 31 - 1)).unref(),
  // `set` made it.
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
};

export class SystemResolver implements DnsResolver {
  /** A name that is not known under either family throws once the second was asked: see `resolve`. */
  async resolve(name: string, family: 4 | 6, wantTtl: boolean): Promise<readonly ResolvedAddress[]> {
    if (wantTtl) {
      // Names of /etc/hosts have no TTL and are not known to name servers: those go the other way.
      const records = await (family === 4 ? resolve4(name, { ttl: true }) : resolve6(name, { ttl: true })).catch(
        () => [],
      );
      if (records.length > 0) return records.map(({ address, ttl }) => ({ address, ttlMs: ttl * 1000 }));
    }
    try {
      const found = await lookup(name, { family, all: true });
      return found.map(({ address }) => ({ address, ttlMs: undefined }));
    } catch (error) {
      if (error instanceof Error && 'code' in error && NO_RECORD.has(String(error.code)) && (await this.exists(name))) {
        return [];
      }
      throw error;
    }
  }

  /** Whether the name has an address of any family: otherwise "no such name" is a failure, and the last answer is kept. */
  private async exists(name: string): Promise<boolean> {
    return lookup(name).then(
      () => true,
      () => false,
    );
  }
}
