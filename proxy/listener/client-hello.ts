/**
 * What a TLS client says first (RFC 8446 §4.1.2): server name and ALPN, read from the bytes before the handshake.
 * Incremental: called again with everything that has come so far.
 */
import type { ClientHello } from '../tls/contract.ts';

/** A hello larger than this is not waited for: Envoy's limit is of the same order. */
export const MAX_HELLO_BYTES = 16 * 1024;

export type HelloResult =
  /** Everything so far fits; more is needed. */
  | { readonly kind: 'more' }
  | { readonly kind: 'not-tls' }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'hello'; readonly hello: ClientHello };

const MORE: HelloResult = { kind: 'more' };
const NOT_TLS: HelloResult = { kind: 'not-tls' };
const TOO_LARGE: HelloResult = { kind: 'too-large' };

const RECORD_HEADER = 5;
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
/** RFC 8446 §5.1. */
const MAX_RECORD = 16_384;

export function readClientHello(bytes: Buffer): HelloResult {
  const message = handshakeMessage(bytes);
  if ('kind' in message) return message;
  try {
    return { kind: 'hello', hello: parse(new Reader(message)) };
  } catch {
    return NOT_TLS;
  }
}

/** The handshake message without its header, put together from its records. */
function handshakeMessage(bytes: Buffer): Buffer | HelloResult {
  const parts: Buffer[] = [];
  let have = 0;
  let end = -1;
  for (let at = 0; ; ) {
    const left = bytes.length - at;
    if (left > 0 && bytes[at] !== HANDSHAKE_RECORD) return NOT_TLS;
    if (left > 1 && bytes[at + 1] !== 3) return NOT_TLS;
    if (left < RECORD_HEADER) break;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > MAX_RECORD) return NOT_TLS;
    const part = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    parts.push(part);
    have += part.length;
    if (have > 0 && parts[0]?.[0] !== CLIENT_HELLO) return NOT_TLS;
    if (end < 0 && have >= 4) {
      // the length may itself be spread over records of a byte each
      end = 4 + Buffer.concat(parts.slice(0, 4)).readUIntBE(1, 3);
      if (end > MAX_HELLO_BYTES) return TOO_LARGE;
    }
    if (end >= 0 && have >= end) return (parts.length === 1 ? part : Buffer.concat(parts, have)).subarray(4, end);
    if (part.length < length) break;
    at += RECORD_HEADER + length;
  }
  return bytes.length >= MAX_HELLO_BYTES ? TOO_LARGE : MORE;
}

function parse(hello: Reader): ClientHello {
  // legacy_version, random
  hello.skip(34);
  hello.skip(hello.u8());
  const cipherSuites = hello.take(hello.u16()).rest();
  hello.skip(hello.u8());
  if (hello.left === 0) return new ReadHello('', [], cipherSuites, EMPTY);
  const block = hello.take(hello.u16());
  const extensions = new Reader(block.rest());
  let serverName = '';
  let alpn: string[] = [];
  while (extensions.left > 0) {
    const type = extensions.u16();
    const body = extensions.take(extensions.u16());
    if (type === SERVER_NAME) serverName = readServerName(body);
    else if (type === ALPN) alpn = readAlpn(body);
  }
  return new ReadHello(serverName, alpn, cipherSuites, block.rest());
}

const EMPTY = Buffer.alloc(0);

/** What is seldom asked is looked up in the bytes. */
class ReadHello implements ClientHello {
  readonly serverName: string;
  readonly alpn: readonly string[];
  readonly cipherSuites: Buffer;
  readonly #extensions: Buffer;

  /** `extensions`: walked through once already, so that they are known to be whole. */
  constructor(serverName: string, alpn: readonly string[], cipherSuites: Buffer, extensions: Buffer) {
    this.serverName = serverName;
    this.alpn = alpn;
    this.cipherSuites = cipherSuites;
    this.#extensions = extensions;
  }

  extension(type: number): Buffer | undefined {
    const reader = new Reader(this.#extensions);
    while (reader.left > 0) {
      const found = reader.u16();
      const body = reader.take(reader.u16());
      if (found === type) return body.rest();
    }
    return undefined;
  }
}

/** RFC 6066 §3. */
function readServerName(body: Reader): string {
  const list = body.take(body.u16());
  while (list.left > 0) {
    const type = list.u8();
    const name = list.take(list.u16());
    if (type === 0) return name.text().toLowerCase();
  }
  return '';
}

/** RFC 7301 §3.1. */
function readAlpn(body: Reader): string[] {
  const list = body.take(body.u16());
  const protocols: string[] = [];
  while (list.left > 0) protocols.push(list.take(list.u8()).text());
  return protocols;
}

/** Throws when asked for more than there is. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    const value = this.#bytes.readUInt8(this.#at);
    this.#at += 1;
    return value;
  }

  u16(): number {
    const value = this.#bytes.readUInt16BE(this.#at);
    this.#at += 2;
    return value;
  }

  skip(count: number): void {
    if (count > this.left) throw new RangeError('the client hello is cut');
    this.#at += count;
  }

  take(count: number): Reader {
    const start = this.#at;
    this.skip(count);
    return new Reader(this.#bytes.subarray(start, start + count));
  }

  /** What is left, not taken. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  text(): string {
    return this.#bytes.toString('latin1');
  }
}
