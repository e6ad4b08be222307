/** `struct sockaddr_in` and `struct sockaddr_in6` of Linux, in a machine of either byte order. Pure. */
import { isIPv6, SocketAddress } from 'node:net';
import { endianness } from 'node:os';

export const AF_INET = 2;
export const AF_INET6 = 10;
/** Room for either. */
export const ADDRESS_BYTES = 28;

const LITTLE = endianness() === 'LE';

export interface IpAndPort {
  readonly address: string;
  readonly port: number;
}

/** `undefined`: of another family. IPv6 is written the shortest way, as Node writes it. */
export function readSocketAddress(bytes: Buffer): IpAndPort | undefined {
  const family = LITTLE ? bytes.readUInt16LE(0) : bytes.readUInt16BE(0);
  const port = bytes.readUInt16BE(2);
  if (family === AF_INET) return { address: `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`, port };
  if (family !== AF_INET6) return undefined;
  const groups: string[] = [];
  for (let at = 8; at < 24; at += 2) groups.push(bytes.readUInt16BE(at).toString(16));
  return { address: canonicalIp(groups.join(':')), port };
}

/** The other way: `address` is an IP address. */
export function writeSocketAddress({ address, port }: IpAndPort): Buffer {
  const v6 = isIPv6(address);
  const bytes = Buffer.alloc(v6 ? ADDRESS_BYTES : 16);
  if (LITTLE) bytes.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  else bytes.writeUInt16BE(v6 ? AF_INET6 : AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  if (v6) for (const [index, group] of groupsOf(address).entries()) bytes.writeUInt16BE(group, 8 + 2 * index);
  else bytes.set(address.split('.').map(Number), 4);
  return bytes;
}

/** IPv6 the shortest way (RFC 5952); IPv4 as it is. */
export function canonicalIp(address: string): string {
  return isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}

function groupsOf(address: string): number[] {
  const tail = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const [, before = '', a = 0, b = 0, c = 0, d = 0] = tail ?? [];
  const pair = (high: string | number, low: string | number) => (Number(high) * 256 + Number(low)).toString(16);
  const text = tail === null ? address : `${before}${pair(a, b)}:${pair(c, d)}`;
  const [head = '', rest] = text.split('::');
  const numbers = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const left = numbers(head);
  const right = numbers(rest ?? '');
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}
