import type { BalancerHost, Picker, Random } from './contract.ts';
import { EdfScheduler } from './edf.ts';
import { equalWeights } from './round-robin.ts';

/**
 * Envoy's LEAST_REQUEST. Equal weights: the least busy of `choiceCount` random hosts, the first drawn on a tie. Different
 * weights: by weight / (active + 1)^bias, taken anew each time a host has had its turn.
 */
export function leastRequest<H extends BalancerHost>(
  hosts: readonly H[],
  choiceCount: number,
  activeRequestBias: number,
  random: Random,
): Picker<H> {
  if (!equalWeights(hosts)) {
    const weight = (host: H): number => host.weight / (host.activeRequests() + 1) ** activeRequestBias;
    return new EdfScheduler(hosts, weight, random);
  }
  return {
    pick() {
      let best = hosts[Math.floor(random() * hosts.length)] as H;
      let least = best.activeRequests();
      for (let i = 1; i < choiceCount; i++) {
        const other = hosts[Math.floor(random() * hosts.length)] as H;
        const active = other.activeRequests();
        if (active < least) {
          best = other;
          least = active;
        }
      }
      return best;
    },
  };
}
