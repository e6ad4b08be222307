/** What a log may show of a header, a path or a query parameter. */
import { maskSecrets } from '../mask.ts';

export const REDACTED = '[redacted]';

/** Names whose values never appear, whatever the format asks for. */
const SECRET_NAME =
  /^(?:proxy-)?authorization$|^(?:set-)?cookie2?$|api[-_]?key|access[-_]?key|secret|passw(?:or)?d|(?:^|[-_])(?:token|auth|session|sid|otp|pin|cvv|cvc|pan)(?:$|[-_])|^x-(?:csrf|xsrf)/;

/** Names whose values are ids of ours or numbers: nothing to look for in them. */
const PLAIN_NAMES = new Set([
  ':method',
  ':authority',
  ':scheme',
  ':status',
  'content-length',
  'content-type',
  'traceparent',
  'x-request-id',
  'x-envoy-upstream-service-time',
  'x-envoy-attempt-count',
]);

const decided = new Map<string, 'show' | 'mask' | 'hide'>();
const DECIDED_LIMIT = 1000;

function decide(name: string): 'show' | 'mask' | 'hide' {
  const known = decided.get(name);
  if (known !== undefined) return known;
  const decision = PLAIN_NAMES.has(name) ? 'show' : SECRET_NAME.test(name) ? 'hide' : 'mask';
  if (decided.size < DECIDED_LIMIT) decided.set(name, decision);
  return decision;
}

/** The value of a field as a log shows it. `name` is lower case for headers. */
export function loggedHeader(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  switch (decide(name.toLowerCase())) {
    case 'show':
      return value;
    case 'hide':
      return REDACTED;
    case 'mask':
      return maskSecrets(value);
  }
}
