/**
 * Which listener has an address: how redirected connections find the one they were going to, bound or not. An exact address
 * comes before the port on any address of the family.
 */
import { canonicalIp } from '../native/socket-address.ts';
import type { OriginalDestination } from './environment.ts';

const ANY_V4 = '0.0.0.0';
const ANY_V6 = '::';

export class ByAddress<Owner> {
  /** `10.0.0.1 8080`. Several owners of one address: the one that was added first. */
  readonly #owners = new Map<string, Owner[]>();

  /** `addresses`: as `addressText` writes them; pipes are no destinations. */
  add(owner: Owner, addresses: readonly string[]): void {
    for (const address of addresses) {
      const [, v6, v4, port] = /^(?:\[(.+)\]|([\d.]+)):(\d+)$/.exec(address) ?? [];
      const host = v4 ?? (v6 === undefined ? undefined : canonicalIp(v6));
      if (host === undefined) continue;
      const key = `${host} ${port}`;
      const owners = this.#owners.get(key);
      if (owners === undefined) this.#owners.set(key, [owner]);
      else owners.push(owner);
    }
  }

  remove(owner: Owner): void {
    for (const [key, owners] of this.#owners) {
      const left = owners.filter((one) => one !== owner);
      if (left.length === 0) this.#owners.delete(key);
      else this.#owners.set(key, left);
    }
  }

  find({ address, port }: OriginalDestination): Owner | undefined {
    const at = (host: string) => this.#owners.get(`${host} ${port}`)?.[0];
    return at(address) ?? at(address.includes(':') ? ANY_V6 : ANY_V4);
  }
}
