/** A client that sends frames as the case has them, malformed ones too, and notes what comes back for each stream. */
import { connect } from 'node:net';
import { HpackDecoder } from '../../../proxy/http2/hpack-decoder.ts';
import { HpackEncoder } from '../../../proxy/http2/hpack-encoder.ts';
import type { ClientSaw } from './client.ts';
import type { Message } from './http-text.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const GOAWAY = 7;

export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

type Fields = readonly (readonly [name: string, value: string])[];

/** HEADERS of the fields as they stand, without a table. */
export function headers(stream: number, fields: Fields, end: boolean): Buffer {
  const encoder = new HpackEncoder(0);
  const block = Buffer.alloc(fields.reduce((sum, [name, value]) => sum + HpackEncoder.bound(name, value), 16));
  let at = 0;
  for (const [name, value] of fields) at = encoder.encode(block, at, name, value);
  return frame(HEADERS, end ? 5 : 4, stream, block.subarray(0, at));
}

export const data = (stream: number, text: string, end = true): Buffer =>
  frame(DATA, end ? 1 : 0, stream, Buffer.from(text, 'latin1'));

export const reset = (stream: number, code: number): Buffer =>
  frame(RST_STREAM, 0, stream, Buffer.from([0, 0, 0, code]));

/** A request on stream `stream`, with more fields after the pseudo-fields. */
export function request(
  stream: number,
  method: string,
  path: string,
  fields: { readonly [name: string]: string } = {},
  body?: string,
): Buffer {
  const all: Fields = [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'conformance.test'],
    ...Object.entries(fields),
  ];
  const head = headers(stream, all, body === undefined);
  return body === undefined ? head : Buffer.concat([head, data(stream, body)]);
}

interface Stream {
  start: string;
  headers: [string, string][];
  trailers: [string, string][];
  body: string;
  over: boolean;
}

/** `streams`: how many have to end. The record has one message a stream: `HTTP/2 200`, or `RST_STREAM 1`. */
export function runHttp2(
  port: number,
  parts: readonly (Buffer | number)[],
  streams: number,
  lingerMs: number,
  withinMs: number,
): Promise<ClientSaw> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const decoder = new HpackDecoder(4096);
    const found = new Map<number, Stream>();
    const startedAt = performance.now();
    let bytes: Buffer = Buffer.alloc(0);
    let rest = '';
    let tookMs = 0;
    let linger: NodeJS.Timeout | undefined;
    let settled = false;
    const settle = (end: ClientSaw['end']): void => {
      if (settled) return;
      settled = true;
      clearTimeout(limit);
      clearTimeout(linger);
      socket.destroy();
      const responses = [...found.entries()].sort(([a], [b]) => a - b).map(([, stream]) => messageOf(stream));
      resolve({ responses, end, rest, tookMs: tookMs || performance.now() - startedAt });
    };
    const limit = setTimeout(() => settle('timeout'), withinMs);
    const streamOf = (id: number): Stream => {
      const known = found.get(id) ?? { start: '', headers: [], trailers: [], body: '', over: false };
      found.set(id, known);
      return known;
    };
    const take = (type: number, flags: number, id: number, payload: Buffer): void => {
      if (type === SETTINGS && (flags & 1) === 0) socket.write(frame(SETTINGS, 1, 0));
      if (type === GOAWAY && payload.readUInt32BE(4) !== 0) rest += `GOAWAY ${payload.readUInt32BE(4)} `;
      if (id === 0 || ![DATA, HEADERS, RST_STREAM].includes(type)) return;
      const stream = streamOf(id);
      if (type === RST_STREAM) {
        // A response that is complete stays one, whatever becomes of the rest of its request.
        if (!stream.over) stream.start = `${stream.start} RST_STREAM ${payload.readUInt32BE(0)}`.trim();
        stream.over = true;
        return;
      }
      if (type === DATA) stream.body += payload.toString('latin1');
      else takeFields(stream, decoder, payload);
      if ((flags & 1) !== 0) stream.over = true;
    };
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
        const length: number = 9 + bytes.readUIntBE(0, 3);
        take(bytes[3] as number, bytes[4] as number, bytes.readUInt32BE(5), bytes.subarray(9, length));
        bytes = bytes.subarray(length);
      }
      const over = [...found.values()].filter((stream) => stream.over).length;
      if (over >= streams && streams > 0 && linger === undefined) {
        tookMs = performance.now() - startedAt;
        linger = setTimeout(() => settle('open'), lingerMs);
      }
    });
    // A proxy that closes on what it has not read resets: which of the two the client sees is chance.
    socket.on('error', () => settle('closed'));
    socket.on('end', () => settle('closed'));
    socket.on('connect', () => {
      socket.write(PREFACE + frame(SETTINGS, 0, 0).toString('latin1'), 'latin1');
      void (async () => {
        for (const part of parts) {
          if (typeof part === 'number') await new Promise((done) => setTimeout(done, part));
          else if (!socket.destroyed) socket.write(part as Buffer);
        }
      })();
    });
  });
}

function takeFields(stream: Stream, decoder: HpackDecoder, block: Buffer): void {
  decoder.decode(block, 0, block.length, 1 << 20, 1000);
  const fields = decoder.fields.slice(0, decoder.count).map(({ name, value }): [string, string] => [name.text, value]);
  const status = fields.find(([name]) => name === ':status')?.[1];
  if (status === undefined) stream.trailers = fields;
  else {
    stream.start = `${stream.start} HTTP/2 ${status}`.trim();
    stream.headers = fields.filter(([name]) => name !== ':status');
  }
}

function messageOf({ start, headers: fields, trailers, body }: Stream): Message {
  return { start, headers: fields, body, trailers, framing: 'none' };
}
