/** How a certificate's age is told of in the log. */
import type { LifeStage } from '../../certs/rotation.ts';
import type { ComponentLog } from '../log.ts';

/** `what`: `the certificate of "spiffe://td/a"`. `notAfter`: milliseconds since the epoch. */
export function logAge(log: ComponentLog, stage: LifeStage, what: string, notAfter: number): void {
  const end = new Date(notAfter).toISOString();
  if (stage === 'expired') log.critical({}, `${what} has expired at ${end}: others will refuse it`);
  else if (stage === 'nine-tenths') log.error({}, `${what} has a tenth of its life left, until ${end}`);
  else log.warning({}, `${what} has a quarter of its life left, until ${end}`);
}
