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

  has(address: string): boolean {
    if (this.list === undefined) return false;
    const version = isIP(address);
    return version !== 0 && this.list.check(address, version === 6 ? 'ipv6' : 'ipv4');
  }
}

/** The address that stands `hops` before the end of `x-forwarded-for`; `undefined`: none, or it is no address. */
export function addressFromForwardedFor(headers: HeaderMap, hops: number): string | undefined {
  const value = headers.joined('x-forwarded-for');
  if (value === undefined) return undefined;
  const parts = value.split(',');
  const wanted = parts[parts.length - 1 - hops]?.trim();
  if (wanted === undefined) return undefined;
  const bare = withoutPort(wanted);
  return isIP(bare) === 0 ? undefined : bare;
}

/** Whether the field holds one address only: a request that passed no proxy before us. */
export function isSingleForwardedFor(headers: HeaderMap): boolean {
  const value = headers.joined('x-forwarded-for');
  return value !== undefined && !value.includes(',');
}

export function appendForwardedFor(headers: HeaderMap, address: string): void {
  const before = headers.joined('x-forwarded-for');
  headers.set('x-forwarded-for', before === undefined || before === '' ? address : `${before},${address}`);
}

export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}

function withoutPort(text: string): string {
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    return end < 0 ? text : text.slice(1, end);
  }
  const colon = text.indexOf(':');
  return colon >= 0 && text.indexOf(':', colon + 1) < 0 ? text.slice(0, colon) : text;
}
