import type { Picker, Random } from './contract.ts';

/** Envoy's RANDOM: uniform; endpoint weights are not looked at. */
export function randomChoice<H>(hosts: readonly H[], random: Random): Picker<H> {
  return { pick: () => hosts[Math.floor(random() * hosts.length)] as H };
}
