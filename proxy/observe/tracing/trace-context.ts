/** W3C Trace Context, level 1: the `traceparent` field. */

export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

const FIELD = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);

/** Whether a valid field has the sampled flag, without taking it apart: the way of every request that is not sampled. */
export function isUnsampled(field: string): boolean {
  if (field.length !== 55 || !field.startsWith('00-')) return false;
  return (Number.parseInt(field[54] as string, 16) & 1) === 0;
}

/** `undefined`: the field is not valid, and the trace starts anew (§3.2.2). */
export function parseTraceParent(field: string): TraceParent | undefined {
  const match = FIELD.exec(field);
  if (match === null) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (traceId === ZERO_TRACE || spanId === ZERO_SPAN) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceParent(traceId: string, spanId: string): string {
  return `00-${traceId}-${spanId}-01`;
}
