/** The runtime's values as a worker holds them, by key. */
import type { Json } from '../xds-client/model/common.ts';
import type { Runtime, Share } from './filters/http/contract.ts';

/** envoy.type.v3.FractionalPercent's denominators, by name and by number. */
const DENOMINATORS: ReadonlyMap<Json | undefined, number> = new Map<Json | undefined, number>([
  ['HUNDRED', 100],
  ['TEN_THOUSAND', 10_000],
  ['MILLION', 1_000_000],
  [0, 100],
  [1, 10_000],
  [2, 1_000_000],
  [undefined, 100],
]);

export class RuntimeValues implements Runtime {
  private readonly numbers = new Map<string, number>();
  private readonly shares = new Map<string, Share>();
  private readonly flags = new Map<string, boolean>();

  /** Takes the place of all values there were. */
  set(values: { readonly [key: string]: Json }): void {
    this.numbers.clear();
    this.shares.clear();
    this.flags.clear();
    for (const [key, value] of Object.entries(values)) {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      if (typeof number === 'number' && !Number.isNaN(number)) this.numbers.set(key, number);
      if (typeof value === 'boolean') this.flags.set(key, value);
      const share = shareOf(value);
      if (share !== undefined) this.shares.set(key, share);
    }
  }

  flag(key: string): boolean | undefined {
    const flag = this.flags.get(key);
    if (flag !== undefined) return flag;
    const number = this.numbers.get(key);
    return number === undefined ? undefined : number !== 0;
  }

  number(key: string): number | undefined {
    return this.numbers.get(key);
  }

  share(key: string): Share | undefined {
    const share = this.shares.get(key);
    if (share !== undefined) return share;
    const percent = this.numbers.get(key);
    return percent === undefined || percent < 0 ? undefined : { numerator: Math.floor(percent), denominator: 100 };
  }
}

function shareOf(value: Json): Share | undefined {
  if (value === null || typeof value !== 'object' || !('numerator' in value)) return undefined;
  const { numerator } = value;
  const denominator = DENOMINATORS.get('denominator' in value ? value.denominator : undefined);
  return typeof numerator === 'number' && denominator !== undefined ? { numerator, denominator } : undefined;
}
