/** The policies, a line each. A policy that is not here is refused when the cluster is decoded. */
import type { LbPolicy } from '../../xds-client/model/cluster.ts';
import type { BalancerHost, Picker, Random } from './contract.ts';
import { leastRequest } from './least-request.ts';
import { randomChoice } from './random.ts';
import { roundRobin } from './round-robin.ts';

type PickerFactory<P> = <H extends BalancerHost>(hosts: readonly H[], policy: P, random: Random) => Picker<H>;

type Factories = { readonly [Kind in LbPolicy['kind']]?: PickerFactory<Extract<LbPolicy, { kind: Kind }>> };

const factories: Factories = {
  'round-robin': (hosts, _policy, random) => roundRobin(hosts, random),
  'least-request': (hosts, policy, random) => leastRequest(hosts, policy.choiceCount, policy.activeRequestBias, random),
  random: (hosts, _policy, random) => randomChoice(hosts, random),
};

/** Whether the policy can be acted on; `cluster-provided` is the original-destination cluster's own. */
export function supportsPolicy(kind: LbPolicy['kind']): boolean {
  return kind === 'cluster-provided' || factories[kind] !== undefined;
}

/** A picker over `hosts`, which is not empty. Falls back to round robin for a policy without a line above. */
export function createPicker<H extends BalancerHost>(hosts: readonly H[], policy: LbPolicy, random: Random): Picker<H> {
  const factory = factories[policy.kind] as PickerFactory<LbPolicy> | undefined;
  return factory === undefined ? roundRobin(hosts, random) : factory(hosts, policy, random);
}
