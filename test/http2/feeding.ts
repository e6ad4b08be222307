/** Bytes cut anywhere, and what a server and a client make of them. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { Client, fields, request, response, Server } from './fakes.ts';

export interface Seen {
  /** A line a message. */
  readonly seen: readonly string[];
  readonly faults: readonly string[];
  /** Bytes of output. */
  readonly written: number;
}

/** Hands the bytes out in pieces of the sizes given, over and over. */
export function feed(bytes: Buffer, cuts: readonly number[], receive: (piece: Buffer) => void): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = cuts[i % cuts.length] as number;
    // A piece of memory that is gone once it was received.
    const piece = Buffer.from(bytes.subarray(at, at + size));
    receive(piece);
    piece.fill(0xee);
    at += size;
  }
}

/** What a server makes of the bytes: of all its connection gets after preface and SETTINGS, or with `whole` of all. */
export function serve(bytes: Buffer, cuts: readonly number[], whole = false): Seen {
  const server = new Server({ streamErrors: true });
  if (!whole) server.receive();
  server.answer = ({ stream }) => {
    stream.sendHead(response(200, fields('x', 'y')), false);
  };
  feed(bytes, cuts, (piece) => server.connection.receive(piece));
  for (const { stream } of server.requests) stream.sendData(Buffer.from('end'), true);
  const seen = server.requests.map(({ text }) => text);
  const faults = server.faults.map(({ message }) => message);
  const written = server.transport.take().length;
  server.connection.destroyed();
  assert.equal(server.stats.named('streams_active'), 0);
  assert.equal(server.stats.named('pending_send_bytes'), 0);
  return { seen, faults, written };
}

/** What a client that has asked `requests` times makes of the bytes. */
export function ask(bytes: Buffer, cuts: readonly number[], requests = 3): Seen {
  const client = new Client({ streamErrors: true });
  const all = Array.from({ length: requests }, () => client.open(request()).seen);
  client.frames();
  feed(bytes, cuts, (piece) => client.connection.receive(piece));
  const seen = all.map(({ text }) => text);
  const faults = client.faults.map(({ message }) => message);
  const written = client.transport.take().length;
  client.connection.destroyed('connection-termination');
  assert.equal(client.connection.activeStreams, 0);
  assert.equal(client.stats.named('streams_active'), 0);
  return { seen, faults, written };
}
