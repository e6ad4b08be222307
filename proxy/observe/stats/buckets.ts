/**
 * Log-linear buckets of two significant digits, as Envoy's histograms have them: ninety buckets a decade, one for zero.
 * In memory a histogram is a head run and one run a decade that was hit.
 */

/** Buckets a decade: 1.0, 1.1, ... 9.9 times a power of ten. */
export const DECADE_CELLS = 90;
/** Decades below one: values under 0.001 count as zero. */
export const LOWEST_DECADE = -3;
/** Values of 10^16 and more fall in the last bucket. */
export const DECADES = 19;

/** The head run: how many values, their sum, how many of them zero. */
export const HEAD_COUNT = 0;
export const HEAD_SUM = 1;
export const HEAD_ZERO = 2;
export const HEAD_CELLS = 3;

const bounds = Array.from({ length: DECADES + 1 }, (_, i) => 10 ** (i + LOWEST_DECADE));

/** Index of the decade of a value above zero; -1 when it counts as zero. */
export function decadeOf(value: number): number {
  if (value < (bounds[0] as number)) return -1;
  let decade = 0;
  while (decade < DECADES - 1 && value >= (bounds[decade + 1] as number)) decade++;
  return decade;
}

/** Bucket within the decade, 0 to 89. */
export function bucketOf(value: number, decade: number): number {
  const bucket = Math.floor((value * 10) / (bounds[decade] as number)) - 10;
  return bucket < 0 ? 0 : bucket >= DECADE_CELLS ? DECADE_CELLS - 1 : bucket;
}

/** One bucket that holds something. */
export interface Bucket {
  readonly lower: number;
  readonly width: number;
  count: number;
}

/** Lower bound and width of a bucket. Rounded, so that 0.3 is 0.3 and not 0.30000000000000004. */
export function bucketBounds(decade: number, bucket: number): { lower: number; width: number } {
  const exponent = decade + LOWEST_DECADE - 1;
  return { lower: scale(bucket + 10, exponent), width: scale(1, exponent) };
}

function scale(value: number, exponent: number): number {
  return exponent < 0 ? value / 10 ** -exponent : value * 10 ** exponent;
}

/** Envoy's default bounds of Prometheus buckets. */
export const DEFAULT_BOUNDS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
];

/** Envoy's quantiles, in percent. */
export const QUANTILES: readonly number[] = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100];

/**
 * The value of rank ceil(q * n), its bucket's values spread evenly inside the bucket: what Envoy prints. `buckets` are
 * in rising order. `undefined` when there are none.
 */
export function quantiles(buckets: readonly Bucket[]): readonly number[] | undefined {
  let total = 0;
  for (const bucket of buckets) total += bucket.count;
  if (total === 0) return undefined;
  const out: number[] = [];
  let at = 0;
  let below = 0;
  for (const quantile of QUANTILES) {
    const rank = Math.max(1, Math.ceil((quantile * total) / 100));
    while (at < buckets.length - 1 && below + (buckets[at] as Bucket).count < rank) {
      below += (buckets[at] as Bucket).count;
      at++;
    }
    const bucket = buckets[at] as Bucket;
    out.push(bucket.lower + ((rank - below) / (bucket.count + 1)) * bucket.width);
  }
  return out;
}

/** How many values lie at or below each of `limits`; a bucket that begins at the limit counts, as in Envoy. */
export function cumulativeCounts(buckets: readonly Bucket[], limits: readonly number[]): number[] {
  const out: number[] = [];
  let at = 0;
  let count = 0;
  for (const limit of limits) {
    while (at < buckets.length && (buckets[at] as Bucket).lower <= limit) {
      count += (buckets[at] as Bucket).count;
      at++;
    }
    out.push(count);
  }
  return out;
}

/** What was added to a histogram since `before` was taken. Both in rising order. */
export function difference(now: readonly Bucket[], before: readonly Bucket[]): Bucket[] {
  const out: Bucket[] = [];
  let at = 0;
  for (const bucket of now) {
    while (at < before.length && (before[at] as Bucket).lower < bucket.lower) at++;
    const old = before[at];
    const count = bucket.count - (old !== undefined && old.lower === bucket.lower ? old.count : 0);
    if (count > 0) out.push({ lower: bucket.lower, width: bucket.width, count });
  }
  return out;
}
