/**
 * gRPC for browsers (gRPC's PROTOCOL-WEB.md): a gRPC-Web request becomes a gRPC one, and the response's trailers become
 * its body's last frame, in base64 where the client asks for text. An answer that is no gRPC one becomes a status with
 * the body as its message, as Envoy does it. Nothing but such a message and parts of base64 groups is held.
 */
import { grpcMessage, grpcStatusOfHttp } from '../../../http/grpc.ts';
import type { HeaderMap, RequestHead, ResponseHead } from '../../../http/headers.ts';
import {
  CONTINUE,
  type FilterCallbacks,
  type FilterStatus,
  type HttpFilter,
  type HttpFilterFactory,
  STOP,
  TAKE,
} from '../contract.ts';
import { FrameWriter, TextReader } from './base64.ts';
import { CallCounts } from './call-counts.ts';

const BINARY = ['application/grpc-web', 'application/grpc-web+proto'];
const TEXT = ['application/grpc-web-text', 'application/grpc-web-text+proto'];
const ALL: ReadonlySet<string> = new Set([...BINARY, ...TEXT]);

/** The flag of the frame that holds trailers. */
const TRAILERS_FRAME = 0x80;
/** More of a body is not made a message of. */
const MAX_MESSAGE = 16_384;
const NOTHING = Buffer.alloc(0);
const BAD_TEXT = 'Bad gRPC-web request, invalid base64 data.';

class GrpcWebFilter implements HttpFilter {
  private readonly callbacks: FilterCallbacks;
  private readonly counts: CallCounts;
  /** The request is gRPC-Web. */
  private active = false;
  private path = '';
  private reader: TextReader | undefined = undefined;
  private textResponse = false;
  private writer: FrameWriter | undefined = undefined;
  /** The head of a response that is no gRPC one; it waits for the body. */
  private foreign: ResponseHead | undefined = undefined;
  private foreignBody = NOTHING;

  constructor(callbacks: FilterCallbacks, counts: CallCounts) {
    this.callbacks = callbacks;
    this.counts = counts;
  }

  onRequestHead({ headers, path }: RequestHead): FilterStatus {
    const type = headers.get('content-type');
    if (type === undefined || !ALL.has(type)) return CONTINUE;
    this.active = true;
    this.path = path;
    headers.remove('content-length');
    if (TEXT.includes(type)) this.reader = new TextReader();
    headers.set('content-type', 'application/grpc');
    this.textResponse = TEXT.includes(headers.get('accept') ?? '');
    headers.set('te', 'trailers');
    headers.set('grpc-accept-encoding', 'identity');
    return CONTINUE;
  }

  onRequestData(chunk: Buffer, end: boolean): FilterStatus {
    const { reader, callbacks } = this;
    if (reader === undefined) return CONTINUE;
    const bytes = reader.read(chunk, end);
    if (typeof bytes === 'string') this.refuse(bytes);
    else if (bytes.length > 0 || end) callbacks.addRequestData(bytes, end);
    return TAKE;
  }

  onRequestTrailers(): FilterStatus {
    if (this.reader?.inGroup !== true) return CONTINUE;
    this.refuse('cut');
    return TAKE;
  }

  onResponseHead(head: ResponseHead, end: boolean): FilterStatus {
    if (!this.active) return CONTINUE;
    this.chargeStatus(head.headers);
    const foreign = !end && !speaksGrpc(head);
    head.headers.set(
      'content-type',
      this.textResponse ? 'application/grpc-web-text+proto' : 'application/grpc-web+proto',
    );
    this.foreign = foreign ? head : undefined;
    this.foreignBody = NOTHING;
    if (foreign) return STOP;
    if (this.textResponse) this.writer = new FrameWriter();
    // The trailers' frame makes it longer.
    if (!end) head.headers.remove('content-length');
    return CONTINUE;
  }

  onResponseData(chunk: Buffer, end: boolean): FilterStatus {
    if (this.foreign !== undefined) return this.takeForeign(chunk, end);
    const { writer } = this;
    if (writer === undefined) return CONTINUE;
    const text = end ? writer.write(chunk) + writer.flush() : writer.write(chunk);
    if (text !== '' || end) this.callbacks.addResponseData(Buffer.from(text, 'latin1'), end);
    return TAKE;
  }

  onResponseTrailers(trailers: HeaderMap): FilterStatus {
    if (!this.active) return CONTINUE;
    this.chargeStatus(trailers);
    if (this.foreign !== undefined) return this.endForeign();
    const frame = trailersFrame(trailers);
    const rest = this.writer?.flush() ?? '';
    const bytes = this.textResponse ? Buffer.from(rest + frame.toString('base64'), 'latin1') : frame;
    this.callbacks.addResponseData(bytes, true);
    return TAKE;
  }

  /** The whole body, as far as it can be a message, before the head goes on. */
  private takeForeign(chunk: Buffer, end: boolean): FilterStatus {
    const room = MAX_MESSAGE - this.foreignBody.length;
    if (room > 0 && chunk.length > 0) this.foreignBody = Buffer.concat([this.foreignBody, chunk.subarray(0, room)]);
    return end ? this.endForeign() : TAKE;
  }

  private endForeign(): FilterStatus {
    const head = this.foreign;
    if (head === undefined) return TAKE;
    this.foreign = undefined;
    const { headers } = head;
    headers.set('grpc-message', grpcMessage(this.foreignBody));
    headers.set('grpc-status', String(grpcStatusOfHttp(head.status)));
    headers.set('content-length', '0');
    this.callbacks.addResponseData(NOTHING, true);
    this.callbacks.continueResponse();
    return TAKE;
  }

  private refuse(why: 'cut' | 'broken'): void {
    const details = why === 'cut' ? 'grpc_base_64_decode_failed_bad_size' : 'grpc_base_64_decode_failed';
    this.callbacks.sendLocalReply(400, BAD_TEXT, details);
  }

  private chargeStatus(fields: HeaderMap): void {
    const status = fields.get('grpc-status');
    const cluster = this.callbacks.info.clusterStatName ?? this.callbacks.info.cluster;
    if (status === undefined || cluster === undefined) return;
    this.counts.count(cluster, this.path, status);
  }
}

/** It has the content type of gRPC or of gRPC-Web, exactly or with parameters as Envoy allows them. */
function speaksGrpc({ status, headers }: ResponseHead): boolean {
  const type = headers.get('content-type') ?? '';
  const semicolon = type.indexOf(';');
  if (BINARY.includes(semicolon < 0 ? type : type.slice(0, semicolon))) return true;
  return status === 200 && (type === 'application/grpc' || type.startsWith('application/grpc+'));
}

function trailersFrame({ names, values }: HeaderMap): Buffer {
  let text = '';
  for (let i = 0; i < names.length; i++) text += `${names[i]}:${values[i]}\r\n`;
  const frame = Buffer.alloc(5 + text.length);
  frame[0] = TRAILERS_FRAME;
  frame.writeUInt32BE(text.length, 1);
  frame.write(text, 5, 'latin1');
  return frame;
}

export const GRPC_WEB: HttpFilterFactory = {
  name: 'envoy.filters.http.grpc_web',
  typeUrl: 'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb',
  build(_config, context) {
    const counts = new CallCounts((name) => context.counter(name));
    return { create: (callbacks) => new GrpcWebFilter(callbacks, counts) };
  },
};
