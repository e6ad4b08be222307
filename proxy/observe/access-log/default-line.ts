/**
 * The line of a request whose configuration names no access log: JSON in pino's shape, with what the decision record
 * holds. No header but the allow-listed ones, no query string, secrets masked.
 */
import type { StreamInfo } from '../../http/stream-info.ts';
import { addressText } from '../../upstream/contract.ts';
import { maskSecrets } from '../mask.ts';
import { flagText } from './flags.ts';
import { loggedHeader } from './secrets.ts';

/** Request headers that the default line shows. */
const ALLOWED_HEADERS = ['x-request-id', 'user-agent', 'content-type', 'x-forwarded-for'];

const ms = (from: number, to: number): number | undefined =>
  from === 0 || to === 0 ? undefined : Math.round(Math.max(0, to - from) * 1000) / 1000;

/** pino's number for `info`. */
const INFO = 30;

/** One line with its newline. */
export function defaultLine(info: StreamInfo): string {
  const { connection, request } = info;
  const headers: { [name: string]: string } = {};
  for (const name of ALLOWED_HEADERS) {
    const value = loggedHeader(name, request.headers.get(name));
    if (value !== undefined && name !== 'x-request-id') headers[name] = value;
  }
  const query = info.originalPath.indexOf('?');
  const path = query < 0 ? info.originalPath : info.originalPath.slice(0, query);
  return `${JSON.stringify({
    level: INFO,
    time: Math.floor(info.startTime),
    component: 'access',
    requestId: info.requestId ?? request.headers.get('x-request-id'),
    traceId: info.trace?.traceId,
    method: request.method === '' ? undefined : request.method,
    authority: request.authority === '' ? undefined : request.authority,
    path: path === '' ? undefined : maskSecrets(path),
    protocol: info.tcp ? 'tcp' : request.version / 10,
    status: info.response?.status ?? 0,
    flags: flagText(info.flags),
    details: info.responseCodeDetails,
    terminationDetails: info.connectionTerminationDetails,
    transportFailure: info.upstreamTransportFailureReason,
    bytesReceived: info.requestBodyBytes,
    bytesSent: info.responseBodyBytes,
    durationMs: ms(info.startedAt, info.completeAt),
    upstreamMs: ms(info.upstreamRequestFirstByteAt, info.upstreamResponseFirstByteAt),
    listener: connection.listener.name,
    chain: connection.chain.name === '' ? undefined : connection.chain.name,
    virtualHost: info.virtualHost?.name,
    route: info.route?.name === '' ? undefined : info.route?.name,
    cluster: info.cluster,
    endpoint: info.endpoint === undefined ? undefined : addressText(info.endpoint.address),
    attempts: info.attemptCount,
    tries: info.attempts?.map((attempt) => ({
      endpoint: attempt.endpoint === undefined ? undefined : addressText(attempt.endpoint.address),
      ms: ms(attempt.startedAt, attempt.endedAt),
      class: attempt.class,
      outcome: attempt.outcome,
      decision: attempt.decision,
    })),
    downstream: info.clientAddress ?? connection.remoteAddress,
    downstreamIdentity: connection.tls?.peer?.sans.uris[0],
    tls: connection.tls?.version,
    upstreamIdentity: info.upstreamTls?.peer?.sans.uris[0],
    upstreamTls: info.upstreamTls?.version,
    headers,
    msg: 'request',
  })}\n`;
}
