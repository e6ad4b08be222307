/** Envoy's Http2ProtocolOptions with its defaults filled in. */
import type { Http2Options } from '../../xds-client/model/http-connection-manager.ts';
import type { StatBlock } from '../observe/stats/contract.ts';

/** The limits of one connection. */
export interface Http2Limits {
  readonly maxConcurrentStreams: number;
  readonly streamWindow: number;
  readonly connectionWindow: number;
  readonly headerTableSize: number;
  readonly allowConnect: boolean;
  readonly maxOutboundFrames: number;
  readonly maxOutboundControlFrames: number;
  readonly maxEmptyFrames: number;
  readonly maxPriorityFramesPerStream: number;
  readonly maxWindowUpdatesPerDataFrame: number;
  /** A malformed message ends its stream and not the connection. */
  readonly streamErrors: boolean;
  readonly keepalive: Http2Options['keepalive'];
}

/** What both sides are made with. */
export interface Http2CodecOptions {
  readonly limits: Http2Limits;
  /** Of a message's fields, names and values together. */
  readonly maxHeadersBytes: number;
  readonly maxHeadersCount: number;
  /** Counts of HTTP2_STATS. */
  readonly stats: StatBlock;
  /** 0 to 1, for the keepalive's jitter. */
  readonly random: () => number;
}

export interface Http2ServerOptions extends Http2CodecOptions {
  readonly scheme: 'http' | 'https';
  readonly underscores: 'allow' | 'reject' | 'drop';
}

/** Fills in what the configuration leaves out. `streamErrors`: what the connection manager says of malformed messages. */
export function http2Limits(options: Http2Options, streamErrors: boolean): Http2Limits {
  return {
    maxConcurrentStreams: options.maxConcurrentStreams ?? 1024,
    streamWindow: options.initialStreamWindowSize ?? 16 * 1024 * 1024,
    connectionWindow: options.initialConnectionWindowSize ?? 24 * 1024 * 1024,
    headerTableSize: options.hpackTableSize ?? 4096,
    allowConnect: options.allowConnect,
    maxOutboundFrames: options.maxOutboundFrames ?? 10_000,
    maxOutboundControlFrames: options.maxOutboundControlFrames ?? 1000,
    maxEmptyFrames: options.maxConsecutiveInboundFramesWithEmptyPayload ?? 1,
    maxPriorityFramesPerStream: options.maxInboundPriorityFramesPerStream ?? 100,
    maxWindowUpdatesPerDataFrame: options.maxInboundWindowUpdateFramesPerDataFrameSent ?? 10,
    streamErrors: options.overrideStreamErrorOnInvalidHttpMessage ?? streamErrors,
    keepalive: options.keepalive,
  };
}
