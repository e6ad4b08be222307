/**
 * Which coding a response gets, chosen once a request among all compressors of its chain: the one that the client wants
 * most (RFC 9110 §12.5.3, with Envoy's reading of what breaks it), and among equals the one that it names first.
 */
import type { StreamInfo } from '../../../http/stream-info.ts';

/** What a compressor brings to the choice. */
export interface Candidate {
  readonly coding: string;
  /** Lower case. */
  readonly contentTypes: ReadonlySet<string>;
  /** Among equals it is chosen; of several such ones, that which the client names last. */
  readonly first: boolean;
}

/** Why it was chosen: each is a statistic. */
export type Reason = 'compressor' | 'identity' | 'wildcard' | 'not-valid';

export interface Decision {
  readonly coding: string;
  readonly reason: Reason;
}

const IDENTITY = 'identity';
const WILDCARD = '*';
const NOT_VALID: Decision = { coding: IDENTITY, reason: 'not-valid' };
const NO_CODING: Decision = { coding: IDENTITY, reason: 'identity' };

/** What the compressors of one request's chain know together. */
export class Negotiation {
  private readonly candidates: Candidate[] = [];
  private decision: Decision | undefined = undefined;

  /** The request's, made by its first compressor. */
  static of(info: StreamInfo): Negotiation {
    info.shared ??= [];
    for (const known of info.shared) if (known instanceof Negotiation) return known;
    const made = new Negotiation();
    info.shared.push(made);
    return made;
  }

  add(candidate: Candidate): void {
    this.candidates.push(candidate);
  }

  /** `contentType`: the response's, without parameters and in lower case; `undefined` where it has none. */
  decide(accepted: string, contentType: string | undefined): Decision {
    this.decision ??= choose(this.candidates, accepted, contentType);
    return this.decision;
  }
}

function choose(candidates: readonly Candidate[], accepted: string, contentType: string | undefined): Decision {
  /** In the order of the chain; a coding that two compressors have counts once. */
  const offered = new Set<string>();
  const preferred = new Set<string>();
  for (const { coding, contentTypes, first } of candidates) {
    if (contentType !== undefined && contentTypes.size > 0 && !contentTypes.has(contentType)) continue;
    offered.add(coding);
    if (first) preferred.add(coding);
  }
  const wanted = parse(accepted);
  for (const { coding, weight } of wanted) if (weight === 0) offered.delete(coding);
  let best = '';
  let bestWeight = 0;
  for (const { coding, weight } of wanted) {
    const better = weight > bestWeight || (weight === bestWeight && weight > 0 && preferred.has(coding));
    if (better && (offered.has(coding) || coding === IDENTITY || coding === WILDCARD)) {
      best = coding;
      bestWeight = weight;
    }
  }
  if (bestWeight === 0) return NOT_VALID;
  if (best === IDENTITY) return NO_CODING;
  if (best !== WILDCARD) return { coding: best, reason: 'compressor' };
  const [leading] = offered;
  return leading === undefined ? NOT_VALID : { coding: leading, reason: 'wildcard' };
}

interface Wanted {
  readonly coding: string;
  readonly weight: number;
}

/** Codings as the client spelled them. One whose weight is no number is left out. */
function parse(accepted: string): Wanted[] {
  const wanted: Wanted[] = [];
  for (const token of accepted.split(',')) {
    if (token === '') continue;
    const semicolon = token.indexOf(';');
    const coding = (semicolon < 0 ? token : token.slice(0, semicolon)).trim();
    const weight = semicolon < 0 ? 1 : weightOf(token.slice(semicolon + 1));
    if (weight !== undefined) wanted.push({ coding, weight });
  }
  return wanted;
}

function weightOf(parameter: string): number | undefined {
  const equals = parameter.indexOf('=');
  if (equals < 0 || parameter.slice(0, equals).trim().toLowerCase() !== 'q') return 1;
  const text = parameter.slice(equals + 1).trim();
  const weight = Number(text);
  return text === '' || Number.isNaN(weight) ? undefined : weight;
}
