/** Shares of requests, which a runtime value may set in whole percents. */
import type { Fraction } from '../../../xds-client/model/common.ts';
import { inFraction } from '../../route/match.ts';
import type { FilterContext } from './contract.ts';

/** Throws the dice once. */
export function hits(fraction: Fraction, context: Pick<FilterContext, 'random' | 'runtimeNumber'>): boolean {
  const { runtimeKey } = fraction;
  const percent = runtimeKey === undefined ? undefined : context.runtimeNumber(runtimeKey);
  if (percent !== undefined) return context.random() * 100 < percent;
  return inFraction(fraction, context.random());
}
