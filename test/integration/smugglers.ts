/** Requests over HTTP/1.1 that two parsers could read in two ways, each with another request in its body. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import type { Mutant } from '../recordings.ts';

const HIDDEN = 'GET /hidden HTTP/1.1\r\nhost: evil\r\n\r\n';
const CHUNK = `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n`;

const LINES = [
  `Content-Length: ${HIDDEN.length}`,
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Length: 5, 5',
  `Content-Length: +${HIDDEN.length}`,
  `Content-Length: 0${HIDDEN.length}`,
  'Content-Length: 0x5',
  'Content-Length : 5',
  'Content-Length:\t5',
  'Content-Length: -1',
  'Content-Length: 18446744073709551621',
  'Content_Length: 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding : chunked',
  ' Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: identity, chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding: chunked;a=b',
  'Transfer-Encoding:\x0bchunked',
  'Transfer-Encoding:',
  'Transfer_Encoding: chunked',
  'X: y\r\n\tz',
  'X: y\nTransfer-Encoding: chunked',
  'X: y\rTransfer-Encoding: chunked',
  'X: y\r\r\nTransfer-Encoding: chunked',
  'X: y\0Content-Length: 5',
  'Connection: close, content-length',
  'Connection: transfer-encoding',
  'Connection: Upgrade\r\nUpgrade: websocket',
  'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
  'Expect: 100-continue',
  'Expect: 100-continue\r\nContent-Length: 5',
  'Host: other',
  'Keep-Alive: 1',
  'TE: trailers, chunked',
  'Trailer: content-length',
];
const STARTS = [
  'POST /',
  'GET /',
  'HEAD /',
  'OPTIONS *',
  'PUT http://a/x',
  'CONNECT a:80',
  'POST /?a#b',
  'GET /\tx',
  'get /',
];
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/1.1 ',
  'HTTP/01.1',
  'HTTP/1.2',
  'http/1.1',
  'HTTP/2.0',
];
const BODIES = [
  HIDDEN,
  `0\r\n\r\n${HIDDEN}`,
  `${CHUNK}0\r\n\r\n`,
  `${CHUNK}0\r\nContent-Length: 5\r\n\r\n${HIDDEN}`,
  `5;a=\n${HIDDEN}\r\n0\r\n\r\n`,
  `0;\r\n\r\n${HIDDEN}`,
  `00000000000000000\r\n\r\n${HIDDEN}`,
  `+0\r\n\r\n${HIDDEN}`,
  `0x0\r\n\r\n${HIDDEN}`,
  `5\r\nhello${HIDDEN}`,
  `5\r\nhello\n0\r\n\r\n${HIDDEN}`,
  `5\rhello\r\n0\r\n\r\n${HIDDEN}`,
  `ffffffffffffffff\r\n${HIDDEN}`,
  `5 \r\nhello\r\n0\r\n\r\n${HIDDEN}`,
  'hello',
  '',
];
const ENDS = ['\n', '\r', '\r\r\n', '\r\n '];
/** Framing that is as it should be. */
const PLAIN = [`Content-Length: ${HIDDEN.length}`, 'Transfer-Encoding: chunked', 'Content-Length: 5', 'X: y'];

/** Mostly the first. */
const mostly = <T>(usual: readonly T[], odd: readonly T[], weight = 4): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: fc.constantFrom(...usual), weight }, { arbitrary: fc.constantFrom(...odd), weight: 1 });

/** Head lines in any combination, ends of lines that are not CRLF now and then, and bodies that hide a request. */
export const smugglers: fc.Arbitrary<Mutant> = fc
  .tuple(
    mostly(['POST /'], STARTS),
    mostly(['HTTP/1.1'], VERSIONS),
    fc.array(fc.tuple(mostly(PLAIN, LINES, 1), mostly(['\r\n'], ENDS, 12)), { minLength: 1, maxLength: 3 }),
    fc.constantFrom(...BODIES),
    fc.constantFrom(...BODIES),
    fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 4 }),
  )
  .map(([start, version, lines, body, then, cuts]) => {
    const head = lines.map(([line, end]) => line + end).join('');
    const text = `${start} ${version}\r\nhost: a\r\n${head}\r\n${body}${then}`;
    return { name: 'smuggler', bytes: Buffer.from(text, 'latin1'), cuts };
  });
