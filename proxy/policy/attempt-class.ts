/**
 * What is known of an attempt's bytes: the ground that every retry decision stands on. See the classes at
 * `AttemptClass` in proxy/http/stream-info.ts.
 */
import type { ResponseHead } from '../http/headers.ts';
import type { ResetReason } from '../http/stream.ts';
import type { AttemptClass } from '../http/stream-info.ts';

/**
 * Set on the local reply of a sidecar that sent no byte of the request on: the application never saw it. Only a
 * verified mesh endpoint is believed, and it is taken off every response before the downstream sees it, unless the
 * downstream is a sidecar itself.
 */
export const UNPROCESSED_HEADER = 'x-tollway-unprocessed';

/**
 * The class of an attempt that was reset. `bytesSent`: a byte of the request was given to the transport. A reset of a
 * reused connection is no exception: the peer may have read the request before it closed.
 */
export function classOfReset(reason: ResetReason, bytesSent: boolean): AttemptClass {
  switch (reason) {
    case 'overflow':
    case 'connection-failure':
    case 'connection-timeout':
    case 'local-refused':
      return bytesSent ? 'unknown' : 'not-sent';
    case 'remote-refused':
      return bytesSent ? 'unprocessed' : 'not-sent';
    case 'remote-reset':
    case 'local-reset':
    case 'connection-termination':
    case 'protocol-error':
      return bytesSent ? 'unknown' : 'not-sent';
  }
}

/** The class of an attempt that a response came to. `trusted`: the endpoint proved to be of the mesh. */
export function classOfResponse(head: ResponseHead, trusted: boolean): AttemptClass {
  return trusted && head.headers.get(UNPROCESSED_HEADER) === 'true' ? 'unprocessed' : 'answered';
}
