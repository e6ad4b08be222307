/**
 * A bound socket with options that have to be set before it is bound, which `node:net` cannot: made here, its descriptor is
 * then given to a `net.Server`, which listens on it and closes it.
 */
import { isIPv6 } from 'node:net';
import { libc } from './libc.ts';
import { AF_INET, AF_INET6, type IpAndPort, writeSocketAddress } from './socket-address.ts';

export interface SocketOption {
  readonly level: number;
  readonly name: number;
  readonly value: Uint8Array;
  /** For messages: `IP_TRANSPARENT`. */
  readonly label: string;
}

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const SOL_IP = 0;
const SOL_IPV6 = 41;
const IP_TRANSPARENT = 19;
const IPV6_TRANSPARENT = 75;
const IP_FREEBIND = 15;
const IPV6_FREEBIND = 78;
const IPV6_V6ONLY = 26;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

export function intOption(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** An option of the configuration: a number, or bytes in base64. */
export function givenOption(given: {
  readonly level: number;
  readonly name: number;
  readonly value: number | string;
}): SocketOption {
  const { level, name, value } = given;
  return {
    level,
    name,
    value: typeof value === 'number' ? intOption(value) : Buffer.from(value, 'base64'),
    label: `socket option ${name} of level ${level}`,
  };
}

/** What a listener may ask for; a socket on `::` takes IPv4's connections too, so both families' options are set there. */
export interface BeforeBinding {
  readonly transparent: boolean;
  readonly freebind: boolean;
  readonly reusePort: boolean;
  /** Of no meaning for IPv4. */
  readonly ipv6Only: boolean;
}

export function bindingOptions(address: string, asked: BeforeBinding): SocketOption[] {
  const option = (level: number, name: number, label: string): SocketOption => ({
    level,
    name,
    label,
    value: intOption(1),
  });
  const v6 = isIPv6(address);
  const options = [option(SOL_SOCKET, SO_REUSEADDR, 'SO_REUSEADDR')];
  if (v6 && asked.ipv6Only) options.push(option(SOL_IPV6, IPV6_V6ONLY, 'IPV6_V6ONLY'));
  if (asked.reusePort) options.push(option(SOL_SOCKET, SO_REUSEPORT, 'SO_REUSEPORT'));
  if (asked.transparent) options.push(option(SOL_IP, IP_TRANSPARENT, 'IP_TRANSPARENT'));
  if (asked.transparent && v6) options.push(option(SOL_IPV6, IPV6_TRANSPARENT, 'IPV6_TRANSPARENT'));
  if (asked.freebind) options.push(option(SOL_IP, IP_FREEBIND, 'IP_FREEBIND'));
  if (asked.freebind && v6) options.push(option(SOL_IPV6, IPV6_FREEBIND, 'IPV6_FREEBIND'));
  return options;
}

/** Throws a `ProxyError`, or an error with the system's `code` and what failed; nothing stays open then. */
export function boundSocket(address: IpAndPort, options: readonly SocketOption[]): number {
  const calls = libc('a listener with transparent, freebind or socket options');
  const fd = calls.socket(isIPv6(address.address) ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const failure = (what: string) => {
    const code = calls.errno();
    if (fd >= 0) calls.close(fd);
    return Object.assign(new Error(`${what}: ${code}`), { code });
  };
  if (fd < 0) throw failure('socket');
  for (const { level, name, value, label } of options) {
    if (calls.setsockopt(fd, level, name, value, value.length) === 0) continue;
    throw failure(label);
  }
  const bytes = writeSocketAddress(address);
  if (calls.bind(fd, bytes, bytes.length) !== 0) throw failure('bind');
  return fd;
}
