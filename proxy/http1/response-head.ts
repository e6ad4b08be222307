/** Status line and fields of an upstream's response (RFC 9112 §4). */
import { HeaderMap, type ResponseHead } from '../http/headers.ts';
import type { ProtocolFault } from '../http/stream.ts';
import { Fault } from './faults.ts';
import { facts, parseFields } from './fields.ts';
import { scanned } from './head-scan.ts';

/** The fault of the last `parseResponseHead` that returned `undefined`. */
export let responseFault: ProtocolFault = Fault.statusLine;
/** Of the last parsed response: 10 or 11. */
export let responseVersion: 10 | 11 = 11;

function refuse(fault: ProtocolFault): undefined {
  responseFault = fault;
  return undefined;
}

/** Parses the head that `scanHead` found; what the fields say about framing is in `facts`. `undefined`: see `responseFault`. */
export function parseResponseHead(text: string, preserveCase: boolean): ResponseHead | undefined {
  const lineEnd = scanned.lines === 0 ? 0 : (scanned.lineEnds[0] as number);
  const minor = text.charCodeAt(7) - 48;
  if (lineEnd < 12 || !text.startsWith('HTTP/1.') || (minor !== 0 && minor !== 1) || text.charCodeAt(8) !== 32) {
    return refuse(Fault.statusLine);
  }
  let status = 0;
  for (let i = 9; i < 12; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return refuse(Fault.statusLine);
    status = status * 10 + digit;
  }
  if (status < 100 || (lineEnd > 12 && text.charCodeAt(12) !== 32)) return refuse(Fault.statusLine);
  const headers = new HeaderMap();
  if (preserveCase) headers.spelling = [];
  const fault = parseFields(text, 1, headers, 'allow');
  if (fault !== undefined) return refuse(fault);
  if (facts.chunked) {
    if (minor === 0) return refuse(Fault.transferEncodingVersion);
    if (status < 200 || status === 204) return refuse(Fault.transferEncodingStatus);
  }
  responseVersion = minor === 1 ? 11 : 10;
  if (status === 101 && facts.upgrade !== undefined) headers.add('upgrade', facts.upgrade);
  return { status, headers };
}
