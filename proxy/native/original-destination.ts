/** Where a connection was going before the kernel's rules sent it here: REDIRECT keeps it aside, TPROXY leaves it as the local address. */
import { isIPv6, type Socket } from 'node:net';
import { type Libc, libc } from './libc.ts';
import { ADDRESS_BYTES, type IpAndPort, readSocketAddress } from './socket-address.ts';

const SOL_IP = 0;
const SOL_IPV6 = 41;
/** SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST. */
const ORIGINAL_DST = 80;
const IP_TRANSPARENT = 19;
const IPV6_TRANSPARENT = 75;
const MAPPED = '::ffff:';

type OriginalDestinationOf = (socket: Socket) => IpAndPort | undefined;

let made: OriginalDestinationOf | undefined;

/** One a thread: its buffers are used again. Throws a `ProxyError` where the C library cannot be called. */
export function originalDestinations(): OriginalDestinationOf {
  made ??= make();
  return made;
}

function make(): OriginalDestinationOf {
  const calls = libc('the original destination of redirected connections');
  const value = Buffer.alloc(ADDRESS_BYTES);
  const length = new Uint32Array(1);
  const flag = new Uint8Array(4);
  return (socket) => {
    const fd = descriptorOf(socket);
    const local = socket.localAddress;
    if (fd === undefined || local === undefined) return undefined;
    // a caller over IPv4 of a listener on `::` was redirected by IPv4's rules
    const v6 = isIPv6(local) && !local.startsWith(MAPPED);
    length[0] = value.length;
    if (calls.getsockopt(fd, v6 ? SOL_IPV6 : SOL_IP, ORIGINAL_DST, value, length) === 0)
      return readSocketAddress(value);
    if (!isTransparent(calls, fd, v6, flag, length)) return undefined;
    return { address: v6 ? local : local.replace(MAPPED, ''), port: socket.localPort ?? 0 };
  };
}

/** Accepted sockets have it from the listening one. */
function isTransparent(calls: Libc, fd: number, v6: boolean, flag: Uint8Array, length: Uint32Array): boolean {
  length[0] = flag.length;
  flag.fill(0);
  const failed = calls.getsockopt(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, flag, length);
  return failed === 0 && flag.some((byte) => byte !== 0);
}

/** Node keeps it with its handle and has no name for it. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  const fd: unknown = Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
