/** Which HTTP a plaintext connection begins with, read from its first bytes (RFC 9112 §3, RFC 9113 §3.4). */

export type HttpResult = 'more' | 'not-http' | 'http/1.0' | 'http/1.1' | 'h2c';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** A request line longer than this is not waited for. */
const MAX_REQUEST_LINE = 16 * 1024;
const MAX_METHOD = 32;
const SPACE = 0x20;
const LF = 0x0a;
const VERSION = / HTTP\/1\.([01])\r?\n$/;

/** Incremental: called again with everything that has come so far. */
export function readHttpPreface(bytes: Buffer): HttpResult {
  const common = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, common, 0, common) === 0) return bytes.length >= PREFACE.length ? 'h2c' : 'more';
  const space = bytes.indexOf(SPACE);
  const method = space < 0 ? bytes.length : space;
  if (space === 0 || method > MAX_METHOD || !isMethod(bytes, method)) return 'not-http';
  const end = bytes.indexOf(LF);
  if (end < 0) return bytes.length >= MAX_REQUEST_LINE ? 'not-http' : 'more';
  // the version stands at the end: the target before it may be long
  const found = VERSION.exec(bytes.toString('latin1', Math.max(0, end - 12), end + 1));
  if (found === null) return 'not-http';
  return found[1] === '0' ? 'http/1.0' : 'http/1.1';
}

/** Upper-case letters and the dash (`M-SEARCH`): what registered methods are made of. */
function isMethod(bytes: Buffer, length: number): boolean {
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] as number;
    if ((byte < 0x41 || byte > 0x5a) && byte !== 0x2d) return false;
  }
  return true;
}
