/**
 * Everything HTTP/1 refuses, made once. Statuses and details are those Envoy answers the same bytes with; where Envoy is
 * laxer (bare LF, bare CR, obs-fold, two Host fields, spaces in the request line, padded chunk sizes, bytes after chunk
 * data) the bytes can be read in two ways, and two readings are how requests are smuggled.
 */
import type { ProtocolFault } from '../http/stream.ts';

function fault(status: number, details: string, message: string): ProtocolFault {
  return { status, details, message };
}

/** The bytes are HTTP; the request is answered with an empty body. */
function unserved(status: number, details: string, message: string): ProtocolFault {
  return { status, details, message, text: '' };
}

const CODEC_ERROR = 'http1.codec_error';

export const Fault = {
  bareLf: fault(400, CODEC_ERROR, 'a line of the head ends in LF without CR'),
  bareCr: fault(400, CODEC_ERROR, 'a CR in the head is not followed by LF'),
  controlCharacter: fault(400, 'http1.invalid_characters', 'a control character stands in the head'),
  headersTooLarge: fault(431, 'http1.headers_too_large', 'the head is larger than max_request_headers_kb allows'),
  tooManyHeaders: fault(431, 'http1.too_many_headers', 'there are more header fields than max_headers_count allows'),
  notHttp: fault(400, CODEC_ERROR, 'the first bytes are not an HTTP/1 request line'),
  emptyLines: fault(400, CODEC_ERROR, 'too many empty lines before the request line'),
  requestLine: fault(400, CODEC_ERROR, 'the request line is not "method SP target SP HTTP/1.1"'),
  method: fault(400, CODEC_ERROR, 'the method is not one that is known'),
  version: fault(426, 'low_version', 'the HTTP version is not 1.1 (nor 1.0 with accept_http_10)'),
  target: fault(400, 'http1.invalid_url', 'the request target has no form that its method allows'),
  relativeTarget: fault(400, CODEC_ERROR, 'the request target is neither a path nor a URL'),
  targetCharacter: fault(400, CODEC_ERROR, 'the request target holds a character that is not printable ASCII'),
  fragment: unserved(400, 'path_normalization_failed', 'the request target holds a "#"'),
  scheme: fault(400, 'http1.invalid_scheme', 'the scheme of the request target is neither http nor https'),
  authority: fault(400, 'http.invalid_authority', 'the authority holds a character that no host has'),
  missingHost: unserved(400, 'missing_host_header', 'a request came without Host'),
  twoHosts: fault(400, CODEC_ERROR, 'there is more than one Host field'),
  responseCutOff: fault(502, CODEC_ERROR, 'the connection ended in the middle of a response'),
  fieldName: fault(400, CODEC_ERROR, 'a header field name is empty or not a token (a folded line is one of these)'),
  underscore: fault(400, 'http1.unexpected_underscore', 'a header field name holds an underscore'),
  contentLength: fault(400, CODEC_ERROR, 'Content-Length is not one decimal number'),
  twoContentLengths: fault(400, CODEC_ERROR, 'there is more than one Content-Length field'),
  lengthAndChunked: fault(
    400,
    'http1.content_length_and_chunked_not_allowed',
    'Content-Length and Transfer-Encoding stand together',
  ),
  transferEncoding: fault(501, 'http1.invalid_transfer_encoding', 'Transfer-Encoding is not exactly "chunked"'),
  transferEncodingVersion: fault(400, CODEC_ERROR, 'Transfer-Encoding came in an HTTP/1.0 message'),
  transferEncodingStatus: fault(
    400,
    'http1.transfer_encoding_not_allowed',
    'Transfer-Encoding came in a response that has no body',
  ),
  connectionField: fault(400, 'http1.connection_header_rejected', 'Connection names a field that must not be removed'),
  bodyDisallowed: fault(400, 'http1.body_disallowed', 'a CONNECT or Upgrade request came with a body'),
  chunkSize: fault(400, CODEC_ERROR, 'a chunk size is not 1 to 16 hexadecimal digits'),
  chunkExtension: fault(400, CODEC_ERROR, 'a chunk extension is too long or holds a control character'),
  chunkEnd: fault(400, CODEC_ERROR, 'the bytes after a chunk are not CRLF'),
  statusLine: fault(502, CODEC_ERROR, 'the status line is not "HTTP/1.1 SP status"'),
  unexpectedUpgrade: fault(502, CODEC_ERROR, 'a 101 came that was not asked for'),
  websocketAccept: fault(502, CODEC_ERROR, 'a 101 does not answer the Sec-WebSocket-Key'),
  notSwitched: fault(502, CODEC_ERROR, 'an upgrade was answered as if it were an ordinary request'),
  tooManyInformational: fault(502, CODEC_ERROR, 'too many 1xx responses came before the final one'),
  unexpectedBytes: fault(502, CODEC_ERROR, 'bytes came on a connection that has no request'),
} as const;
