/**
 * Responses that are made here. Text and code details are Envoy's; `local_reply_config` may change status, body and
 * headers; a gRPC request gets its status as a trailers-only response (gRPC over HTTP/2, "Responses").
 */
import type { HttpConnectionManager, LocalReplyMapper } from '../../../../xds-client/model/http-connection-manager.ts';
import { grpcMessage, grpcStatusOfHttp } from '../../../http/grpc.ts';
import { HeaderMap, type ResponseHead } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { compileFilter, type FilterTools, type LogPredicate } from '../../../observe/access-log/filter.ts';
import { compileFormat, type Formatter } from '../../../observe/access-log/format.ts';
import { compileValue } from '../../../observe/access-log/header-value.ts';
import { compileLogFormat } from '../../../observe/access-log/logger.ts';
import { HeaderMutation } from '../../../route/headers.ts';

export interface LocalReply {
  readonly head: ResponseHead;
  readonly body: string;
}

interface CompiledMapper {
  readonly matches: LogPredicate;
  readonly status: number | undefined;
  readonly body: string | undefined;
  readonly format: Formatter | undefined;
  readonly contentType: string | undefined;
  readonly headers: HeaderMutation<StreamInfo>;
}

/** `local_reply_config`, compiled. Without one, replies are plain text. */
export class LocalReplies {
  private readonly mappers: readonly CompiledMapper[];
  private readonly format: Formatter | undefined;
  private readonly contentType: string;

  constructor(config: HttpConnectionManager['localReply'], tools: FilterTools) {
    this.mappers = config === undefined ? [] : config.mappers.map((mapper) => compileMapper(mapper, tools));
    this.format = compileBody(config?.bodyFormat);
    this.contentType = config?.contentType ?? contentTypeOf(config?.bodyFormat);
  }

  /**
   * Builds the reply. `changes` run first and may add headers; `info.response` is set, because mappers look at it. `grpc`:
   * the request is, and so is the reply.
   */
  make(
    info: StreamInfo,
    grpc: boolean,
    status: number,
    text: string,
    changes: ((headers: HeaderMap) => void) | undefined,
    grpcStatus: number | undefined,
  ): LocalReply {
    const head: ResponseHead = { status, headers: new HeaderMap() };
    changes?.(head.headers);
    info.response = head;
    let body = text;
    let { contentType } = this;
    let format = this.format;
    for (const mapper of this.mappers) {
      if (!mapper.matches(info)) continue;
      // Before the status changes: `%RESPONSE_CODE%` in a header is the one that the mapper was asked for.
      mapper.headers.apply(head.headers, info);
      if (mapper.status !== undefined) head.status = mapper.status;
      if (mapper.body !== undefined) body = mapper.body;
      if (mapper.format !== undefined) {
        format = mapper.format;
        contentType = mapper.contentType ?? 'text/plain';
      }
      if (mapper.contentType !== undefined) contentType = mapper.contentType;
      break;
    }
    if (format !== undefined) body = format(info, { localReplyBody: body });
    // A JSON format ends its line; a header's value does not.
    if (grpc) return toGrpc(head, contentType === 'application/json' ? body.replace(/\n$/, '') : body, grpcStatus);
    if (body !== '') {
      head.headers.set('content-length', String(Buffer.byteLength(body)));
      if (!head.headers.has('content-type')) head.headers.add('content-type', contentType);
    }
    return { head, body };
  }
}

function compileMapper(mapper: LocalReplyMapper, tools: FilterTools): CompiledMapper {
  return {
    matches: compileFilter(mapper.filter, tools),
    status: mapper.status,
    body: mapper.body,
    format: compileBody(mapper.format),
    contentType: mapper.contentType ?? (mapper.format === undefined ? undefined : contentTypeOf(mapper.format)),
    headers: new HeaderMutation([], mapper.headersToAdd, compileValue),
  };
}

function compileBody(format: LocalReplyMapper['format']): Formatter | undefined {
  if (format === undefined) return undefined;
  const compiled =
    format.kind === 'text'
      ? compileFormat(format.text, { omitEmpty: format.omitEmptyValues })
      : compileLogFormat(format);
  return 'format' in compiled ? compiled.format : undefined;
}

function contentTypeOf(format: LocalReplyMapper['format']): string {
  return format?.kind === 'json' ? 'application/json' : 'text/plain';
}

function toGrpc(head: ResponseHead, body: string, grpcStatus: number | undefined): LocalReply {
  const { headers } = head;
  headers.set('content-type', 'application/grpc');
  headers.set('grpc-status', String(grpcStatus ?? grpcStatusOfHttp(head.status)));
  if (body !== '') headers.set('grpc-message', grpcMessage(Buffer.from(body)));
  head.status = 200;
  return { head, body: '' };
}

/** What `ProtocolFault.status` may be, in Envoy's words. */
const REASONS: { readonly [status: number]: string } = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  414: 'URI Too Long',
  426: 'Upgrade Required',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  505: 'HTTP Version Not Supported',
};

/** `Bad Request` for 400: the body of a reply to a request that breaks the protocol. */
export function reasonOf(status: number): string {
  return REASONS[status] ?? '';
}
