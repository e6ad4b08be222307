/** What every response carries, whoever made it, and where its status is counted. */
import type { ResponseHead } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { UNPROCESSED_HEADER } from '../../../policy/attempt-class.ts';
import type { HttpConnection } from './connection.ts';
import type { HttpManager } from './manager.ts';
import { appendVia } from './request-headers.ts';
import { ListenerHttpStat, ManagerStat } from './stats.ts';

const {
  DOWNSTREAM_RQ_1XX: RQ_1XX,
  DOWNSTREAM_RQ_COMPLETED: RQ_COMPLETED,
  DOWNSTREAM_RQ_RESPONSE_BEFORE_RQ_COMPLETE: RQ_EARLY_RESPONSE,
} = ManagerStat;
const { DOWNSTREAM_RQ_1XX: LISTENER_1XX, DOWNSTREAM_RQ_COMPLETED: LISTENER_COMPLETED } = ListenerHttpStat;

/** Finishes a response's head in place. Order as on Envoy's wire. `early`: the request has not ended. */
export function completeHead(head: ResponseHead, info: StreamInfo, connection: HttpConnection, early: boolean): void {
  const { manager } = connection;
  const { config } = manager;
  const { headers } = head;
  info.response = head;
  info.downstreamResponseFirstByteAt = manager.context.now();
  if (!headers.has('date')) headers.add('date', manager.date.at(manager.dependencies.wallClock()));
  if (config.serverHeader === 'overwrite') headers.set('server', manager.serverName);
  else if (config.serverHeader === 'append-if-absent' && !headers.has('server'))
    headers.add('server', manager.serverName);
  if (config.via !== undefined) appendVia(headers, config.via);
  if (info.requestId !== undefined && (config.alwaysSetRequestIdInResponse || traceForced(manager, info)))
    headers.set('x-request-id', info.requestId);
  // Only a sidecar of the mesh is told, and it takes the header off again: see proxy/policy/attempt-class.ts.
  if (head.status >= 400 && !info.maybeProcessed && connection.mutual && isMeshDownstream(info)) {
    headers.set(UNPROCESSED_HEADER, 'true');
  }
  connection.drainIfDue();
  if (early) {
    manager.stats.inc(RQ_EARLY_RESPONSE);
    // Nobody will wait for the rest of the request; the codec says so but for a tunnel.
    if (info.request.version < 20) headers.set('connection', 'close');
  }
  if (!info.healthCheck) countCode(manager, head.status);
}

export function countCode(manager: HttpManager, status: number): void {
  const { stats, listenerStats } = manager;
  const digit = ((status / 100) | 0) - 1;
  stats.inc(RQ_COMPLETED);
  listenerStats.inc(LISTENER_COMPLETED);
  if (digit >= 0 && digit < 5) {
    stats.inc(RQ_1XX + digit);
    listenerStats.inc(LISTENER_1XX + digit);
  }
}

/** An internal caller asked for a trace: it is told the id to look for. Others' fields are gone by now. */
function traceForced(manager: HttpManager, info: StreamInfo): boolean {
  return !manager.internalAddresses.empty && info.request.headers.has('x-envoy-force-trace');
}

/** The downstream is a workload of the mesh: its verified certificate holds a SPIFFE id. */
function isMeshDownstream(info: StreamInfo): boolean {
  return info.connection.tls?.peer?.sans.uris.some((uri) => uri.startsWith('spiffe://')) ?? false;
}
