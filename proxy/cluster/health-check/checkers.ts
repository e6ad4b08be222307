/** The one list of checkers, by what they speak. */
import type { Http1Options, Http2Options } from '../../../xds-client/model/http-connection-manager.ts';
import type { StatBlock } from '../../observe/stats/contract.ts';
import type { CheckedCluster } from './cluster-checks.ts';
import type { Checker, CheckTarget } from './contract.ts';
import { GrpcChecker } from './grpc.ts';
import { HttpChecker } from './http.ts';
import { TcpChecker } from './tcp.ts';

const HTTP1: Http1Options = {
  acceptHttp10: false,
  defaultHostForHttp10: undefined,
  allowAbsoluteUrl: true,
  headerCase: 'lower',
  enableTrailers: false,
  allowChunkedLength: false,
  overrideStreamErrorOnInvalidHttpMessage: undefined,
};

const HTTP2: Http2Options = {
  maxConcurrentStreams: undefined,
  initialStreamWindowSize: undefined,
  initialConnectionWindowSize: undefined,
  hpackTableSize: undefined,
  allowConnect: false,
  maxOutboundFrames: undefined,
  maxOutboundControlFrames: undefined,
  maxConsecutiveInboundFramesWithEmptyPayload: undefined,
  maxInboundPriorityFramesPerStream: undefined,
  maxInboundWindowUpdateFramesPerDataFrameSent: undefined,
  overrideStreamErrorOnInvalidHttpMessage: undefined,
  keepalive: undefined,
};

/** A checker for one endpoint; it connects with its first check. `http2Stats`: asked where HTTP/2 is spoken. */
export function createChecker(cluster: CheckedCluster, http2Stats: () => StatBlock, target: CheckTarget): Checker {
  const { healthCheck, protocol } = cluster;
  const { probe, alpn } = healthCheck;
  const http = {
    http1Options: protocol.kind === 'http2' ? HTTP1 : protocol.http1,
    http2Options: protocol.kind === 'http1' ? HTTP2 : protocol.http2,
    http2Stats,
  };
  switch (probe.kind) {
    case 'grpc':
      return new GrpcChecker(probe, { ...http, alpn: offered(alpn, true) }, target);
    case 'http':
      return new HttpChecker(probe, { ...http, alpn: offered(alpn, probe.http2) }, target);
    case 'tcp':
      return new TcpChecker(probe, alpn, target);
  }
}

/** Endpoints that speak HTTP/2 over TLS expect to be asked for it. */
function offered(alpn: readonly string[], http2: boolean): readonly string[] {
  return alpn.length === 0 && http2 ? ['h2'] : alpn;
}
