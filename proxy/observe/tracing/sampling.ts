/**
 * Which requests are traced, as Envoy's connection manager decides it. The request id, a UUID, takes the decision along:
 * its fifteenth character says 4 (not decided), 9 (sampled), a (forced by the service) or b (asked for by the client).
 * Where nothing is decided lots are drawn, from the id itself, so that every hop with the same percentage draws the same.
 */
import type { Tracing } from '../../../xds-client/model/http-connection-manager.ts';
import type { RequestHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';

const REASON_AT = 14;
const UNDECIDED = '4';
const SAMPLED = '9';
const DECIDED = '9ab';
const UUID_LENGTH = 36;

/** Whether the request is traced here, before its caller's `traceparent` is heard. `random` gives 0 to below 1. */
export function isTraced(
  head: RequestHead,
  requestId: string | undefined,
  tracing: Pick<Tracing, 'clientSampling' | 'randomSampling' | 'overallSampling'>,
  random: () => number,
): boolean {
  const id = requestId ?? head.headers.get('x-request-id');
  const isUuid = id !== undefined && id.length === UUID_LENGTH;
  const lot = (isUuid ? lotOf(id) : undefined) ?? random() * 100;
  const decided = isUuid && DECIDED.includes(id[REASON_AT] as string);
  if (!decided && !isAsked(head, tracing.clientSampling, lot) && lot >= tracing.randomSampling) return false;
  return lot < tracing.overallSampling;
}

/** Writes the decision into the request id, for the hops to come. */
export function markSampled(head: RequestHead, info: StreamInfo): void {
  const id = info.requestId ?? head.headers.get('x-request-id');
  if (id === undefined || id.length !== UUID_LENGTH || id[REASON_AT] !== UNDECIDED) return;
  const marked = id.slice(0, REASON_AT) + SAMPLED + id.slice(REASON_AT + 1);
  if (info.requestId !== undefined) info.requestId = marked;
  if (head.headers.has('x-request-id')) head.headers.set('x-request-id', marked);
}

function isAsked(head: RequestHead, clientSampling: number, lot: number): boolean {
  if (head.headers.has('x-envoy-force-trace')) return true;
  return head.headers.has('x-client-trace-id') && lot < clientSampling;
}

/** 0 to below 100 in steps of a hundredth; `undefined` for an id that is no UUID. */
function lotOf(id: string): number | undefined {
  const number = Number.parseInt(id.slice(0, 8), 16);
  return Number.isNaN(number) ? undefined : (number % 10_000) / 100;
}
