/**
 * The keys of WebSocket's opening handshake over HTTP/1.1 (RFC 6455 §4), which extended CONNECT does without (RFC 8441 §5): who
 * stands between the two makes up for them.
 */
import { createHash, randomBytes } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
export const WEBSOCKET_KEY = 'sec-websocket-key';
export const WEBSOCKET_ACCEPT = 'sec-websocket-accept';
export const WEBSOCKET_VERSION = 'sec-websocket-version';

export function isWebsocket(protocol: string): boolean {
  return protocol.toLowerCase() === 'websocket';
}

/** A new `sec-websocket-key`. */
export function websocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** The `sec-websocket-accept` that answers a key. */
export function websocketAccept(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}
