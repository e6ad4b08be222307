import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Server } from './fakes.ts';

const H = 'Host: a\r\n';
const CHUNKED = `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`;

/** What Envoy 1.40 answers, or, where it lets such bytes pass, what Tollway refuses on purpose. */
const REFUSED: { readonly [name: string]: readonly [string, number, string] } = {
  // On purpose stricter than Envoy: each of these can be read in two ways.
  'two Hosts': [`GET / HTTP/1.1\r\n${H}Host: b\r\n\r\n`, 400, 'http1.codec_error'],
  'two equal Hosts': [`GET / HTTP/1.1\r\n${H}${H}\r\n`, 400, 'http1.codec_error'],
  'a bare LF everywhere': ['GET / HTTP/1.1\nHost: a\n\n', 400, 'http1.codec_error'],
  'a bare LF in a field': [`GET / HTTP/1.1\r\n${H}X: b\nY: c\r\n\r\n`, 400, 'http1.codec_error'],
  'a bare CR': [`GET / HTTP/1.1\r\n${H}X: b\rc\r\n\r\n`, 400, 'http1.codec_error'],
  'a folded line': [`GET / HTTP/1.1\r\n${H}X: b\r\n c\r\n\r\n`, 400, 'http1.codec_error'],
  'two spaces in the request line': [`GET  / HTTP/1.1\r\n${H}\r\n`, 400, 'http1.codec_error'],
  'a space behind the version': [`GET / HTTP/1.1 \r\n${H}\r\n`, 400, 'http1.codec_error'],
  'user information': [`GET http://u:p@q.com/x HTTP/1.1\r\n${H}\r\n`, 400, 'http.invalid_authority'],
  'user information in Host': ['GET / HTTP/1.1\r\nHost: a@b\r\n\r\n', 400, 'http.invalid_authority'],
  'a padded chunk size': [`${CHUNKED}3 \r\nabc\r\n0\r\n\r\n`, 400, 'http1.codec_error'],
  'a long chunk size': [`${CHUNKED}00000000000000003\r\nabc\r\n0\r\n\r\n`, 400, 'http1.codec_error'],
  'more than the chunk': [`${CHUNKED}3\r\nabcd\r\n0\r\n\r\n`, 400, 'http1.codec_error'],
  'a body before an upgrade': [
    `POST / HTTP/1.1\r\n${H}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc`,
    400,
    'http1.body_disallowed',
  ],
  'Connection naming the length': [
    `POST / HTTP/1.1\r\n${H}Connection: content-length\r\nContent-Length: 3\r\n\r\nabc`,
    400,
    'http1.connection_header_rejected',
  ],
  'Connection naming the payment key': [
    `POST / HTTP/1.1\r\n${H}Connection: Idempotency-Key\r\nIdempotency-Key: 1\r\n\r\n`,
    400,
    'http1.connection_header_rejected',
  ],
  // As Envoy.
  'length and chunked': [
    `POST / HTTP/1.1\r\n${H}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    'http1.content_length_and_chunked_not_allowed',
  ],
  'two equal lengths': [
    `POST / HTTP/1.1\r\n${H}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
    400,
    'http1.codec_error',
  ],
  'a list of lengths': [`POST / HTTP/1.1\r\n${H}Content-Length: 3, 3\r\n\r\nabc`, 400, 'http1.codec_error'],
  'a signed length': [`POST / HTTP/1.1\r\n${H}Content-Length: +3\r\n\r\nabc`, 400, 'http1.codec_error'],
  'an empty length': [`POST / HTTP/1.1\r\n${H}Content-Length:\r\n\r\n`, 400, 'http1.codec_error'],
  'a huge length': [`POST / HTTP/1.1\r\n${H}Content-Length: 99999999999999999\r\n\r\n`, 400, 'http1.codec_error'],
  'a hexadecimal length': [`POST / HTTP/1.1\r\n${H}Content-Length: 0x3\r\n\r\nabc`, 400, 'http1.codec_error'],
  'gzip, chunked': [
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    501,
    'http1.invalid_transfer_encoding',
  ],
  'identity and chunked': [
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    501,
    'http1.invalid_transfer_encoding',
  ],
  'chunked twice': [
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    501,
    'http1.invalid_transfer_encoding',
  ],
  'a vertical tab in the coding': [
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
    400,
    'http1.invalid_characters',
  ],
  'chunked in HTTP/1.0': [
    'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    426,
    'low_version',
  ],
  'HTTP/1.0': ['GET / HTTP/1.0\r\nHost: a\r\n\r\n', 426, 'low_version'],
  'HTTP/1.2': ['GET / HTTP/1.2\r\nHost: a\r\n\r\n', 426, 'low_version'],
  'HTTP/0.9': ['GET /\r\n\r\n', 426, 'low_version'],
  'another protocol': ['GET / FTP/1.1\r\nHost: a\r\n\r\n', 400, 'http1.codec_error'],
  'a NUL': [`GET / HTTP/1.1\r\n${H}X: b\0c\r\n\r\n`, 400, 'http1.invalid_characters'],
  'a space before the colon': [`GET / HTTP/1.1\r\n${H}X : b\r\n\r\n`, 400, 'http1.codec_error'],
  'an empty name': [`GET / HTTP/1.1\r\n${H}: b\r\n\r\n`, 400, 'http1.codec_error'],
  'no colon': [`GET / HTTP/1.1\r\n${H}abc\r\n\r\n`, 400, 'http1.codec_error'],
  'a name that is no token': [`GET / HTTP/1.1\r\n${H}a@b: c\r\n\r\n`, 400, 'http1.codec_error'],
  'an unknown method': [`PAYIT / HTTP/1.1\r\n${H}\r\n`, 400, 'http1.codec_error'],
  'a method in lower case': [`get / HTTP/1.1\r\n${H}\r\n`, 400, 'http1.codec_error'],
  'a TLS handshake': ['\x16\x03\x01\x02\x00\x01\x00\x01', 400, 'http1.codec_error'],
  'a leading space': [` GET / HTTP/1.1\r\n${H}\r\n`, 400, 'http1.codec_error'],
  'a relative path': [`GET abc HTTP/1.1\r\n${H}\r\n`, 400, 'http1.codec_error'],
  'GET *': [`GET * HTTP/1.1\r\n${H}\r\n`, 400, 'http1.invalid_url'],
  'a fragment': [`GET /a#b HTTP/1.1\r\n${H}\r\n`, 400, 'path_normalization_failed'],
  'a space in the path': [`GET /a b HTTP/1.1\r\n${H}\r\n`, 400, 'http1.codec_error'],
  'latin1 in the path': [`GET /a\xe9 HTTP/1.1\r\n${H}\r\n`, 400, 'http1.codec_error'],
  'a control character in the path': [`GET /a\x01 HTTP/1.1\r\n${H}\r\n`, 400, 'http1.invalid_characters'],
  'no Host': ['GET / HTTP/1.1\r\n\r\n', 400, 'missing_host_header'],
  'a space in Host': ['GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400, 'http.invalid_authority'],
  'a path in Host': ['GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400, 'http.invalid_authority'],
  'another scheme': [`GET ftp://q.com/x HTTP/1.1\r\n${H}\r\n`, 400, 'http1.invalid_scheme'],
  'CONNECT with a body': [
    'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\n\r\nabc',
    400,
    'http1.body_disallowed',
  ],
  'CONNECT with a path': ['CONNECT / HTTP/1.1\r\nHost: a:80\r\n\r\n', 400, 'http1.invalid_url'],
  'Connection naming X-Forwarded-For': [
    `GET / HTTP/1.1\r\n${H}Connection: X-Forwarded-For\r\n\r\n`,
    400,
    'http1.connection_header_rejected',
  ],
  'a chunk size 0x3': [`${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`, 400, 'http1.codec_error'],
  'a chunk size +3': [`${CHUNKED}+3\r\nabc\r\n0\r\n\r\n`, 400, 'http1.codec_error'],
  'an empty chunk size': [`${CHUNKED}\r\nabc\r\n0\r\n\r\n`, 400, 'http1.codec_error'],
  'a chunk size that overflows': [`${CHUNKED}ffffffffffffffff\r\nabc`, 400, 'http1.codec_error'],
  'an LF in a chunk extension': [`${CHUNKED}3;a\nb\r\nabc\r\n0\r\n\r\n`, 400, 'http1.codec_error'],
  'an LF behind a chunk size': [`${CHUNKED}3\nabc\n0\n\n`, 400, 'http1.codec_error'],
  'an endless chunk extension': [`${CHUNKED}3;${'a'.repeat(2000)}`, 400, 'http1.codec_error'],
  'a folded trailer': [`${CHUNKED}0\r\nX: a\r\n b\r\n\r\n`, 400, 'http1.codec_error'],
  'too large a head': [`GET / HTTP/1.1\r\n${H}X: ${'y'.repeat(70_000)}`, 431, 'http1.headers_too_large'],
  'too long a path': [`GET /${'a'.repeat(70_000)}`, 431, 'http1.headers_too_large'],
  'too many fields': [`GET / HTTP/1.1\r\n${H}${'x: y\r\n'.repeat(100)}\r\n`, 431, 'http1.too_many_headers'],
};

const ACCEPTED: { readonly [name: string]: readonly [string, string] } = {
  'a hundred fields': [`GET / HTTP/1.1\r\n${H}${'x: y\r\n'.repeat(99)}\r\n`, 'GET a / 11 -'],
  'empty lines before the request': [`\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n${H}\r\n`, 'GET a / 11 -'],
  'an absolute target, whose authority counts': [`GET http://q.com?x HTTP/1.1\r\n${H}\r\n`, 'GET q.com /?x 11 -'],
  'latin1 in a value': [`GET / HTTP/1.1\r\n${H}x: \xe9\r\n\r\n`, 'GET a / 11 - x=\xe9'],
  'OPTIONS *': [`OPTIONS * HTTP/1.1\r\n${H}\r\n`, 'OPTIONS a * 11 -'],
  'Chunked in any case': [`POST / HTTP/1.1\r\n${H}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n`, 'POST a / 11 -'],
  'an upgrade to h2c, as HTTP/1.1': [
    `GET / HTTP/1.1\r\n${H}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n`,
    'GET a / 11 -',
  ],
  '__proto__ as a name': [`GET / HTTP/1.1\r\n${H}__proto__: x\r\n\r\n`, 'GET a / 11 - __proto__=x'],
};

describe('strictness', () => {
  for (const [name, [bytes, status, details]] of Object.entries(REFUSED)) {
    it(`refuses ${name}, answers once and forwards nothing that follows`, () => {
      const server = new Server();
      server.receive(bytes);
      server.receive(`GET /smuggled HTTP/1.1\r\n${H}\r\n`);
      assert.deepEqual(
        server.faults.map((fault) => [fault.status, fault.details]),
        [[status, details]],
      );
      assert.match(server.transport.text, new RegExp(`^HTTP/1.1 ${status} .*connection: close`, 's'));
      assert.equal(server.transport.text.match(/HTTP\/1.1/g)?.length, 1);
      assert.equal(server.transport.ended, true);
      assert.ok(server.requests.every((seen) => seen.reset !== undefined || !seen.complete));
      assert.ok(server.requests.every((seen) => seen.head.path !== '/smuggled'));
    });
  }

  for (const [name, [bytes, line]] of Object.entries(ACCEPTED)) {
    it(`accepts ${name}`, () => {
      const server = new Server();
      server.receive(bytes);
      assert.deepEqual(server.faults, []);
      assert.ok(server.last.line.startsWith(line), server.last.line);
      assert.equal(server.last.complete, true);
    });
  }

  it('refuses or drops names with underscores when told so', () => {
    const text = `GET / HTTP/1.1\r\n${H}a_b: c\r\n\r\n`;
    const rejecting = new Server({ underscores: 'reject' });
    rejecting.receive(text);
    assert.equal(rejecting.faults[0]?.details, 'http1.unexpected_underscore');
    const dropping = new Server({ underscores: 'drop' });
    dropping.receive(text);
    assert.equal(dropping.last.line, 'GET a / 11 - ');
  });

  it('resets a request whose body breaks after the answer began', () => {
    const server = new Server();
    server.receive(CHUNKED);
    server.last.stream.sendHead({ status: 200, headers: server.last.head.headers }, false);
    server.receive('xyz');
    assert.equal(server.last.reset, 'protocol-error');
    assert.equal(server.transport.destroyed, true);
    assert.deepEqual(server.faults, []);
  });
});
