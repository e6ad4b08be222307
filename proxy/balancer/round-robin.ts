import type { BalancerHost, Picker, Random } from './contract.ts';
import { EdfScheduler } from './edf.ts';

/** Envoy's ROUND_ROBIN: in turn, or by weight where weights differ. Starts anywhere, so that workers do not go in step. */
export function roundRobin<H extends BalancerHost>(hosts: readonly H[], random: Random): Picker<H> {
  if (!equalWeights(hosts)) return new EdfScheduler(hosts, (host) => host.weight, random);
  let next = Math.floor(random() * hosts.length);
  return {
    pick() {
      const host = hosts[next] as H;
      next = next + 1 === hosts.length ? 0 : next + 1;
      return host;
    },
  };
}

/** Whether weights say nothing. */
export function equalWeights(hosts: readonly BalancerHost[]): boolean {
  const first = hosts[0];
  return first === undefined || hosts.every((host) => host.weight === first.weight);
}
