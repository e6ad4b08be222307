/**
 * The few calls of the C library that Node has no names for, through koffi. Loaded with the first listener that needs them:
 * a proxy whose traffic is not intercepted never pays for it, nor needs it installed.
 */
import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import { errorMessage, ProxyError } from '../errors.ts';

/** Each answers -1 when it fails; `errno` says why, until the next call. */
export interface Libc {
  getsockopt(fd: number, level: number, name: number, value: Uint8Array, length: Uint32Array): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  close(fd: number): number;
  /** The last failure as Node writes it: `EACCES`. */
  errno(): string;
}

let loaded: Libc | undefined;

/** Throws a `ProxyError` where the package is missing or does not run here; `what` needed it. */
export function libc(what: string): Libc {
  loaded ??= load(what);
  return loaded;
}

function load(what: string): Libc {
  const impossible = (why: string, cause?: unknown) =>
    new ProxyError('native-missing', `${what} needs calls of Linux's C library: ${why}`, { cause });
  if (process.platform !== 'linux') throw impossible(`this is ${process.platform}`);
  let koffi: typeof import('koffi');
  try {
    koffi = createRequire(import.meta.url)('koffi');
  } catch (error) {
    throw impossible(
      `the package koffi cannot be loaded (npm ci without --omit=optional brings it): ${firstLine(error)}`,
      error,
    );
  }
  try {
    const library = koffi.load(null);
    return {
      getsockopt: library.func('int getsockopt(int fd, int level, int name, void *value, uint32_t *length)'),
      setsockopt: library.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)'),
      socket: library.func('int socket(int family, int type, int protocol)'),
      bind: library.func('int bind(int fd, const void *address, uint32_t length)'),
      close: library.func('int close(int fd)'),
      errno: () => getSystemErrorName(-koffi.errno()),
    };
  } catch (error) {
    throw impossible(firstLine(error), error);
  }
}

function firstLine(error: unknown): string {
  return errorMessage(error).split('\n', 1)[0] ?? '';
}
