/**
 * OpenSSL's word on the other side's chain. Node completes a handshake whatever OpenSSL found, so nothing may be read
 * before this was asked.
 */
import type { TLSSocket } from 'node:tls';

/** `undefined`: the chain is good. Otherwise OpenSSL's code, `CERT_HAS_EXPIRED`. Client side. */
export function clientVerdict(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  const error: unknown = socket.authorizationError;
  if (error instanceof Error) return codeOf(error);
  return typeof error === 'string' ? error : 'UNVERIFIED';
}

/**
 * The same for a socket we are the server of. `authorized` is filled in by `tls.Server` alone, which cannot be used for
 * sockets that pass through inspectors and chains, so the handle is asked as it does. Where a Node without that method
 * comes along, every client is refused rather than let in.
 */
export function serverVerdict(socket: TLSSocket): string | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return 'CLOSED';
  const verifyError: unknown = Reflect.get(handle, 'verifyError');
  if (typeof verifyError !== 'function') return 'UNVERIFIED';
  const error: unknown = Reflect.apply(verifyError, handle, []);
  if (error === null || error === undefined) return undefined;
  return error instanceof Error ? codeOf(error) : 'UNVERIFIED';
}

function codeOf(error: Error): string {
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' ? code : error.message;
}
