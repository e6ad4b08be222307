/** What an upstream says that was not asked. */

const FRAME_HEADER = 9;
const SETTINGS = 4;

/**
 * A server of HTTP/2 may send its SETTINGS before the client's preface has come (RFC 9113 §3.4): it still waits for a client
 * that speaks HTTP, whose connection is not to be relayed as bytes.
 */
export function isHttp2Settings(bytes: Buffer): boolean {
  if (bytes.length < FRAME_HEADER) return false;
  const length = bytes.readUIntBE(0, 3);
  return length % 6 === 0 && length <= 16_384 && bytes[3] === SETTINGS && bytes[4] === 0 && bytes.readUInt32BE(5) === 0;
}
