/** How long to wait before the next attempt. Milliseconds throughout. */
import type { RetryPolicy } from '../../xds-client/model/route.ts';
import type { HeaderMap } from '../http/headers.ts';

/**
 * Full jitter, as Envoy's: uniform in [0, min(base x 2^(retry-1), max)). `retry` counts from 1; `random` is in [0, 1).
 */
export function exponentialBackoff(baseMs: number, maxMs: number, retry: number, random: number): number {
  const ceiling = Math.min(baseMs * 2 ** Math.min(retry - 1, 30), maxMs);
  return Math.floor(random * ceiling);
}

/**
 * What the upstream's reset headers ask for, jittered upwards by up to a half so that callers do not return together;
 * `undefined` when no header parses or when it asks for more than `maxMs`. `nowMs`: since the epoch.
 */
export function rateLimitedBackoff(
  policy: NonNullable<RetryPolicy['rateLimitedBackoff']>,
  headers: HeaderMap,
  nowMs: number,
  random: number,
): number | undefined {
  for (const { name, format } of policy.resetHeaders) {
    const value = headers.get(name);
    if (value === undefined || !/^\d{1,12}$/.test(value)) continue;
    const seconds = Number(value);
    const interval = format === 'seconds' ? seconds * 1000 : seconds * 1000 - nowMs;
    if (interval <= 0 || interval > policy.maxMs) continue;
    return Math.floor(interval + random * (interval / 2));
  }
  return undefined;
}
