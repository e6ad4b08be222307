/** Everything HTTP/2 refuses, made once: the codes of RFC 9113 §7 with Envoy's response code details. */
import type { ProtocolFault } from '../http/stream.ts';
import { ErrorCode } from './frames.ts';

export interface Http2Fault extends ProtocolFault {
  /** RFC 9113 §7. */
  readonly code: number;
}

function fault(code: number, details: string, message: string): Http2Fault {
  return { code, status: 400, details, message };
}
/** The bytes are HTTP; the request is answered with an empty body. */
function unserved(details: string, message: string): ProtocolFault {
  return { status: 400, details, message, text: '' };
}

const { Protocol, FrameSize, FlowControl, StreamClosed, Compression, EnhanceYourCalm, Internal } = ErrorCode;
const PROTOCOL = 'http2.protocol_error';
const VIOLATION = 'http2.violation.of.messaging.rule';
const FIELD = 'http2.invalid.header.field';
const FLOOD = 'http2.inbound_frames_flood';

export const Fault = {
  preface: fault(Protocol, PROTOCOL, 'the connection does not begin with the HTTP/2 preface'),
  firstFrame: fault(Protocol, PROTOCOL, 'the first frame is not SETTINGS'),
  frameSize: fault(FrameSize, PROTOCOL, 'a frame has a length that its type or our SETTINGS do not allow'),
  streamZero: fault(Protocol, PROTOCOL, 'a frame came on a stream that its type does not allow'),
  idleStream: fault(Protocol, PROTOCOL, 'a frame came for a stream that nobody opened'),
  streamId: fault(Protocol, PROTOCOL, 'a stream was opened with an id that is not the next one of its sender'),
  streamClosed: fault(StreamClosed, PROTOCOL, 'a frame came for a stream whose sender had ended it'),
  padding: fault(Protocol, PROTOCOL, 'the padding is longer than its frame'),
  continuation: fault(Protocol, PROTOCOL, 'a header block was interrupted, or continued where none was'),
  selfDependency: fault(Protocol, PROTOCOL, 'a stream depends on itself'),
  setting: fault(Protocol, PROTOCOL, 'a setting has a value that it must not have'),
  windowSetting: fault(FlowControl, PROTOCOL, 'SETTINGS_INITIAL_WINDOW_SIZE is, or makes a window, larger than 2^31-1'),
  pushPromise: fault(Protocol, PROTOCOL, 'PUSH_PROMISE came and push is not enabled'),
  windowIncrement: fault(Protocol, PROTOCOL, 'WINDOW_UPDATE by 0'),
  windowOverflow: fault(FlowControl, PROTOCOL, 'WINDOW_UPDATE makes a window larger than 2^31-1'),
  flowControl: fault(FlowControl, PROTOCOL, 'more DATA came than the window allows'),
  compression: fault(Compression, 'http2.compression_error', 'a header block cannot be decoded'),
  blockTooLarge: fault(
    EnhanceYourCalm,
    'http2.too_many_headers',
    'a header block is larger, or in more frames, than is read',
  ),
  tooManyHeaders: fault(Internal, 'http2.too_many_headers', 'a message has more fields than the limits allow'),
  headersTooLarge: fault(
    Internal,
    'http2.header_list_size_too_large',
    'the fields of a message are larger than the limits allow',
  ),
  dataBeforeHead: fault(Protocol, PROTOCOL, 'DATA came before the response head'),

  emptyFrames: fault(EnhanceYourCalm, FLOOD, 'too many frames without payload came one after the other'),
  priorityFrames: fault(EnhanceYourCalm, FLOOD, 'too many PRIORITY frames came'),
  windowUpdates: fault(EnhanceYourCalm, FLOOD, 'too many WINDOW_UPDATE frames came'),
  outbound: fault(EnhanceYourCalm, 'http2.outbound_frames_flood', 'too many frames wait for a peer that does not read'),
  outboundControl: fault(
    EnhanceYourCalm,
    'http2.outbound_control_frames_flood',
    'too many answers wait for a peer that does not read',
  ),
  keepalive: fault(Protocol, 'http2.ping_timeout', 'a keepalive PING was not answered in time'),

  fieldName: fault(Protocol, FIELD, 'a field name is not a token in lower case'),
  fieldValue: fault(Protocol, FIELD, 'a field value holds a control character, or begins or ends with a blank'),
  pseudoField: fault(Protocol, VIOLATION, 'a pseudo-field is doubled or missing'),
  strayPseudoField: fault(Protocol, FIELD, 'a pseudo-field is unknown, or stands after other fields'),
  connectionField: fault(Protocol, FIELD, 'a field of an HTTP/1.1 connection came, or TE with more than "trailers"'),
  underscore: fault(Internal, 'http2.unexpected_underscore', 'a field name holds an underscore'),
  authority: fault(Protocol, VIOLATION, ':authority holds what no authority has, or is not what Host says'),
  path: fault(
    Protocol,
    VIOLATION,
    ':path is neither absolute nor "*", or holds a character that is not printable ASCII',
  ),
  method: fault(Protocol, VIOLATION, ':method is not a token'),
  contentLength: fault(Protocol, VIOLATION, 'Content-Length is not one number, or not that of the DATA that came'),
  bodyDisallowed: fault(Protocol, VIOLATION, 'DATA came in a response that has no body'),
  trailers: fault(Protocol, VIOLATION, 'trailers did not end their stream'),
  connectProtocol: fault(Protocol, FIELD, 'an extended CONNECT came that our SETTINGS do not allow'),
  status: fault(Protocol, VIOLATION, ':status is not a number that HTTP/2 has'),
  informational: fault(Protocol, VIOLATION, 'a 1xx response ended its stream, or too many came'),

  fragment: unserved('path_normalization_failed', 'the request target holds a "#"'),
} as const;
