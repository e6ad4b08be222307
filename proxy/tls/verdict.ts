/**
 * OpenSSL's word on the other side's chain. Node completes a handshake whatever OpenSSL found, so nothing may be read
 * before this was asked. OpenSSL tells the last fault that it found, and there may have been others.
 */
import type { TLSSocket } from 'node:tls';

/** What OpenSSL found wrong: its code (`CERT_HAS_EXPIRED`) and its words (`certificate has expired`). */
export interface ChainFault {
  readonly code: string;
  readonly reason: string;
}

/** Of faults that Node has no better word for than this, the code says nothing. */
const UNSPECIFIED = 'UNSPECIFIED';
const UNKNOWN: ChainFault = { code: UNSPECIFIED, reason: 'the chain was not verified' };

/**
 * `undefined`: the chain is good. `authorized` is filled in by `tls.Server` and `tls.connect` alone, the first of which
 * cannot be used for sockets that pass through inspectors and chains, and it tells less; so the handle is asked as they do.
 * Where a Node without that method comes along, everybody is refused rather than let in.
 */
export function opensslVerdict(socket: TLSSocket): ChainFault | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return { code: 'CLOSED', reason: 'the connection is closed' };
  const verifyError: unknown = Reflect.get(handle, 'verifyError');
  if (typeof verifyError !== 'function') return UNKNOWN;
  const error: unknown = Reflect.apply(verifyError, handle, []);
  if (error === null || error === undefined) return undefined;
  if (!(error instanceof Error)) return UNKNOWN;
  const code: unknown = Reflect.get(error, 'code');
  return { code: typeof code === 'string' ? code : UNSPECIFIED, reason: error.message };
}
