/** Node's connection errors in the words that Envoy's users look for (UPSTREAM_TRANSPORT_FAILURE_REASON). */

/** strerror(3), for the errors that connecting can end with. */
const words: { readonly [code: string]: string } = {
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  ECONNABORTED: 'Software caused connection abort',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ENETDOWN: 'Network is down',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EADDRINUSE: 'Address already in use',
  EAFNOSUPPORT: 'Address family not supported by protocol',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
  ENOENT: 'No such file or directory',
  EMFILE: 'Too many open files',
  ENFILE: 'Too many open files in system',
  EPIPE: 'Broken pipe',
  EINVAL: 'Invalid argument',
};

/** The reason with Envoy's `TLS_error` before it, once. */
export function tlsErrorText(reason: string): string {
  return reason.startsWith('TLS_error') ? reason : `TLS_error: ${reason}`;
}

/** `delayed connect error: Connection refused`, or OpenSSL's own words after `TLS_error: `. */
export function connectErrorText(error: NodeJS.ErrnoException, tlsStarted: boolean): string {
  const { code, message } = error;
  if (code !== undefined && !tlsStarted) return `delayed connect error: ${words[code] ?? code}`;
  if (tlsStarted) return `TLS_error: ${sslReason(error) ?? (code === undefined ? message : (words[code] ?? code))}`;
  return `delayed connect error: ${message}`;
}

/** True when our own end could not be bound (source address). */
export function isBindError(error: NodeJS.ErrnoException): boolean {
  return error.syscall === 'bind' || error.code === 'EADDRNOTAVAIL';
}

function sslReason(error: NodeJS.ErrnoException): string | undefined {
  const reason = 'reason' in error ? error.reason : undefined;
  return typeof reason === 'string' ? reason : undefined;
}
