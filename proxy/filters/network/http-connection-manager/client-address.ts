/**
 * Who the client is: `x-forwarded-for` read and written, and whether the request came from inside
 * (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-for).
 */
import { BlockList, isIP } from 'node:net';
import type { CidrRange } from '../../../../xds-client/model/common.ts';
import type { HeaderMap } from '../../../http/headers.ts';

/** `internal_address_config`: which addresses are inside. None, when nothing is configured. */
export class InternalAddresses {
  private readonly list: BlockList | undefined;

  constructor(ranges: readonly CidrRange[]) {
    if (ranges.length === 0) return;
    const list = new BlockList();
    for (const { address, prefixLength } of ranges) {
      list.addSubnet(address, prefixLength, isIP(address) === 6 ? 'ipv6' : 'ipv4');
    }
    this.list = list;
  }

  /** Nobody is inside. */
  get empty(): boolean {
    return this.list === undefined;
  }

  has(address: string): boolean {
    if (this.list === undefined) return false;
    const version = isIP(address);
    // Node would hold `::ffff:10.0.0.1` against the ranges of IPv4; who writes an address so is not inside.
    if (version === 6 && /^[0:]*:ffff:/i.test(address)) return false;
    return version !== 0 && this.list.check(address, version === 6 ? 'ipv6' : 'ipv4');
  }
}

/** The field's value. Several fields become one, so that whoever reads only the first sees every hop. */
export function joinForwardedFor(headers: HeaderMap): string | undefined {
  const first = headers.get('x-forwarded-for');
  if (first === undefined) return undefined;
  const all = headers.joined('x-forwarded-for') as string;
  if (all !== first) headers.set('x-forwarded-for', all);
  return all;
}

/** The address that stands `hops` before the end of `x-forwarded-for`; `undefined`: none, or no bare address. */
export function addressFromForwardedFor(value: string, hops: number): string | undefined {
  const parts = value.split(',');
  const wanted = parts[parts.length - 1 - hops]?.trim();
  return wanted === undefined || isIP(wanted) === 0 ? undefined : wanted;
}

export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}
