/**
 * Which requests are traced, as Envoy's connection manager decides it. The request id, a UUID, takes the decision along:
 * its fifteenth character says why the request is traced, or 4. Where nothing is decided lots are drawn, from the id
 * itself, so that every hop with the same percentage draws the same.
 */
import type { Tracing } from '../../../xds-client/model/http-connection-manager.ts';
import type { RequestHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';

const REASON_AT = 14;
const UUID_LENGTH = 36;
/** As many digits of the id make its lot. */
const LOT_DIGITS = 8;

/** Why a request is traced, as its id says it. */
export const Reason = {
  /** It is not. */
  None: '4',
  Sampled: '9',
  /** `x-envoy-force-trace` of an internal caller. */
  ServiceForced: 'a',
  /** `x-client-trace-id`. */
  ClientEnabled: 'b',
} as const;
export type Reason = (typeof Reason)[keyof typeof Reason];

/**
 * Whether and why the request is traced here, before its caller's `traceparent` is heard. Writes what this hop decides
 * into the request id, for the hops to come. `random` gives 0 to below 1: the lot of a request whose id holds none.
 */
export function decide(
  head: RequestHead,
  info: StreamInfo,
  tracing: Pick<Tracing, 'clientSampling' | 'randomSampling' | 'overallSampling'>,
  random: () => number,
): Reason {
  const id = info.requestId ?? head.headers.get('x-request-id');
  const lot = lotOf(id) ?? random() * 100;
  const told = id?.length === UUID_LENGTH ? reasonOf(id[REASON_AT]) : Reason.None;
  const reason = told === Reason.None ? drawn(head, tracing, lot) : told;
  if (reason === Reason.None) return reason;
  const decision = lot < tracing.overallSampling ? reason : Reason.None;
  mark(head, info, id, decision);
  return decision;
}

/** Takes the decision of an external caller out of an id that is kept: this hop decides for itself. */
export function forgetDecision(id: string): string {
  return id.length === UUID_LENGTH ? withReason(id, Reason.None) : id;
}

function drawn(head: RequestHead, tracing: Pick<Tracing, 'clientSampling' | 'randomSampling'>, lot: number): Reason {
  const { headers } = head;
  if (headers.has('x-client-trace-id') && lot < tracing.clientSampling) return Reason.ClientEnabled;
  if (headers.has('x-envoy-force-trace')) return Reason.ServiceForced;
  return lot < tracing.randomSampling ? Reason.Sampled : Reason.None;
}

function mark(head: RequestHead, info: StreamInfo, id: string | undefined, reason: Reason): void {
  if (id === undefined || id.length !== UUID_LENGTH || id[REASON_AT] === reason) return;
  const marked = withReason(id, reason);
  if (info.requestId !== undefined) info.requestId = marked;
  if (head.headers.has('x-request-id')) head.headers.set('x-request-id', marked);
}

function withReason(id: string, reason: Reason): string {
  return id.slice(0, REASON_AT) + reason + id.slice(REASON_AT + 1);
}

function reasonOf(character: string | undefined): Reason {
  switch (character) {
    case Reason.Sampled:
    case Reason.ServiceForced:
    case Reason.ClientEnabled:
      return character;
    default:
      return Reason.None;
  }
}

/** 0 to below 100 in steps of a hundredth; `undefined` for an id that does not begin with a number. */
function lotOf(id: string | undefined): number | undefined {
  if (id === undefined || id.length < LOT_DIGITS) return undefined;
  const number = Number.parseInt(id.slice(0, LOT_DIGITS), 16);
  return Number.isNaN(number) ? undefined : (number % 10_000) / 100;
}
