/**
 * The PROXY protocol's header, versions 1 and 2, as Envoy reads it: who called the balancer before us, and at which address.
 * Pure; called again with everything that has come so far.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { OriginalDestination } from './environment.ts';

/** `undefined` members: the header names nobody (UNKNOWN, LOCAL), and the socket's own addresses hold. */
export interface ProxyHeader {
  readonly kind: 'header';
  readonly version: 1 | 2;
  /** Bytes of the header. */
  readonly length: number;
  readonly source: OriginalDestination | undefined;
  readonly destination: OriginalDestination | undefined;
}

export type ProxyHeaderResult =
  | ProxyHeader
  | { readonly kind: 'more' }
  /** Something else. */
  | { readonly kind: 'none' }
  /** A header of version 1 that does not end where it has to. */
  | { readonly kind: 'endless' }
  | { readonly kind: 'error'; readonly version: 1 | 2 };

const V1 = Buffer.from('PROXY ');
/** The longest header of version 1, CRLF included. */
const MAX_V1 = 107;
const V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_HEAD = 16;
const MORE = { kind: 'more' } as const;
const NONE = { kind: 'none' } as const;
const ERROR_1 = { kind: 'error', version: 1 } as const;
const ERROR_2 = { kind: 'error', version: 2 } as const;
/** Bytes of one address by address family, the high half of the 14th byte. */
const ADDRESS_BYTES: { readonly [family: number]: number } = { 1: 4, 2: 16 };
const LOCAL = 0;
const PROXY = 1;

export function readProxyHeader(bytes: Buffer): ProxyHeaderResult {
  if (begins(bytes, V2)) return bytes.length < V2_HEAD ? MORE : readV2(bytes);
  if (begins(bytes, V1)) return bytes.length < V1.length ? MORE : readV1(bytes);
  return NONE;
}

/** What there is of the prefix is right. */
function begins(bytes: Buffer, prefix: Buffer): boolean {
  const common = Math.min(bytes.length, prefix.length);
  return bytes.compare(prefix, 0, common, 0, common) === 0;
}

function readV1(bytes: Buffer): ProxyHeaderResult {
  const end = bytes.subarray(0, MAX_V1).indexOf('\r\n');
  if (end < 0) return bytes.length < MAX_V1 ? MORE : { kind: 'endless' };
  const [, protocol, source = '', destination = '', from = '', to = '', more] = bytes
    .toString('latin1', 0, end)
    .split(' ');
  const header = { kind: 'header', version: 1, length: end + 2 } as const;
  if (protocol === 'UNKNOWN') return { ...header, source: undefined, destination: undefined };
  const isAddress = protocol === 'TCP4' ? isIPv4 : protocol === 'TCP6' ? isIPv6 : never;
  if (more !== undefined || !isAddress(source) || !isAddress(destination) || !isPort(from) || !isPort(to))
    return ERROR_1;
  return {
    ...header,
    source: { address: source, port: Number(from) },
    destination: { address: destination, port: Number(to) },
  };
}

const never = (): boolean => false;
const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) < 65_536;

function readV2(bytes: Buffer): ProxyHeaderResult {
  const kind = bytes.readUInt8(12);
  const transport = bytes.readUInt8(13);
  const length = V2_HEAD + bytes.readUInt16BE(14);
  const command = kind & 15;
  if (kind >> 4 !== 2 || command > PROXY) return ERROR_2;
  const size = ADDRESS_BYTES[transport >> 4];
  const protocol = transport & 15;
  if (command === PROXY) {
    if (size === undefined || protocol < 1 || protocol > 2 || length < V2_HEAD + 2 * size + 4) return ERROR_2;
  }
  if (bytes.length < length) return MORE;
  const header = { kind: 'header', version: 2, length } as const;
  if (command === LOCAL || size === undefined) return { ...header, source: undefined, destination: undefined };
  const ports = V2_HEAD + 2 * size;
  if (!areTlvs(bytes, ports + 4, length)) return ERROR_2;
  return {
    ...header,
    source: { address: addressAt(bytes, V2_HEAD, size), port: bytes.readUInt16BE(ports) },
    destination: { address: addressAt(bytes, V2_HEAD + size, size), port: bytes.readUInt16BE(ports + 2) },
  };
}

function areTlvs(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if (end - at < 3) return false;
    at += 3 + bytes.readUInt16BE(at + 1);
  }
  return at === end;
}

function addressAt(bytes: Buffer, at: number, size: number): string {
  if (size === 4) return bytes.subarray(at, at + 4).join('.');
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(at + 2 * group).toString(16));
  // The text that everything else compares with: zeros are shortened as URLs do it.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
