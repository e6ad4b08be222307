import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Server } from './fakes.ts';
import { fetch, SMALL, serve, split } from './feeding.ts';

const PIECES = [
  'GET / HTTP/1.1\r\n',
  'POST /p?q HTTP/1.1\r\n',
  'HEAD http://h/x HTTP/1.1\r\n',
  'CONNECT a:80 HTTP/1.1\r\n',
  'Host: a\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  'Connection: upgrade\r\nUpgrade: websocket\r\n',
  'X-Long-Name: some value \r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  '\r\n',
  '5\r\nhello\r\n',
  '0\r\n\r\n',
  '0\r\nX-T: 1\r\n\r\n',
  'a;ext="x"\r\n0123456789\r\n',
  'hello',
  '\n',
  '\0',
] as const;

const POST = 'POST /p HTTP/1.1\r\nHost: a\r\nX: y\r\n';
const WHOLE = [
  `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\na;e=f\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n`,
  `${POST}Content-Length: 5\r\n\r\nhello`,
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  '\r\n\r\n',
];

/** Mostly well-formed streams, some of them with a few bytes changed. */
const stream = fc
  .tuple(
    fc.array(fc.oneof({ arbitrary: fc.constantFrom(...WHOLE), weight: 3 }, fc.constantFrom(...PIECES)), {
      minLength: 1,
      maxLength: 8,
    }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
  )
  .map(([parts, changes]) => {
    const text = [...parts.join('')];
    for (const [at, byte] of changes) text[at % text.length] = String.fromCharCode(byte);
    return text.join('');
  });
const cuts = fc.array(fc.nat(), { maxLength: 12 });

describe('however the bytes are split', () => {
  it('the same requests, faults and answers come out', () => {
    fc.assert(
      fc.property(stream, cuts, fc.constantFrom('at once' as const, 'at the end' as const), (text, at, mode) => {
        assert.equal(serve(split(text, at), mode, SMALL), serve([text], mode, SMALL));
      }),
      { numRuns: 1500, seed: 7 },
    );
  });

  it('one byte at a time is no different', () => {
    fc.assert(
      fc.property(stream, (text) => {
        assert.equal(serve([...text], 'at once', SMALL), serve([text], 'at once', SMALL));
      }),
      { numRuns: 400, seed: 11 },
    );
  });

  it('the same response comes out', () => {
    const bodies = fc.constantFrom(
      'Content-Length: 5\r\n\r\nhello',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n',
      '\r\nuntil close',
    );
    const responses = fc
      .tuple(
        fc.constantFrom('', 'HTTP/1.1 100 C\r\n\r\n'),
        bodies,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 1 }),
      )
      .map(([before, body, changes]) => {
        const text = [...`${before}HTTP/1.1 200 OK\r\nX: y\r\n${body}`];
        for (const [at, byte] of changes) text[at % text.length] = String.fromCharCode(byte);
        return text.join('');
      });
    fc.assert(
      fc.property(responses, cuts, fc.boolean(), (text, at, ends) => {
        assert.equal(fetch(split(text, at), ends, SMALL), fetch([text], ends, SMALL));
      }),
      { numRuns: 1000, seed: 3 },
    );
  });

  it('arbitrary bytes never throw, and never make a second answer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const server = new Server();
        server.connection.receive(Buffer.from(bytes));
        assert.ok(server.faults.length <= 1);
      }),
      { numRuns: 500, seed: 5 },
    );
  });
});
