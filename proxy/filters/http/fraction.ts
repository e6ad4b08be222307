/** Shares of requests, which a runtime value may set. */
import type { Fraction } from '../../../xds-client/model/common.ts';
import type { FilterContext } from './contract.ts';

/** Throws the dice once. */
export function hits(fraction: Fraction, context: Pick<FilterContext, 'random' | 'runtime'>): boolean {
  const { runtimeKey } = fraction;
  const said = runtimeKey === undefined ? undefined : context.runtime.share(runtimeKey);
  const { numerator, denominator } = said ?? fraction;
  return context.random() * denominator < numerator;
}
