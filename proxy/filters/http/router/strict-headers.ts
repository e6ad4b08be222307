/** `strict_check_headers`: Envoy's own request headers that are refused, and not passed over, where they do not parse. */
import type { HeaderMap } from '../../../http/headers.ts';
import { conditionsValid } from '../../../policy/retry-conditions.ts';

/** The first of `names` whose value does not parse; `undefined`: all do, or are not there. */
export function invalidHeader(headers: HeaderMap, names: readonly string[]): string | undefined {
  return names.find((name) => {
    const value = headers.get(name);
    return value !== undefined && !isValid(name, value);
  });
}

function isValid(name: string, value: string): boolean {
  if (name === 'x-envoy-retry-on') return conditionsValid(value, false);
  if (name === 'x-envoy-retry-grpc-on') return conditionsValid(value, true);
  return /^\+?\d{1,19}$/.test(value);
}
