/** The endpoints of one priority, sorted by fitness and, where localities are weighted, by locality. */
import type { LbPolicy } from '../../xds-client/model/cluster.ts';
import type { BalancerHost, LocalityHosts, Picker, Random } from './contract.ts';
import { EdfScheduler } from './edf.ts';
import type { PriorityCounts } from './priorities.ts';
import { createPicker } from './registry.ts';

export interface HostSetOptions {
  readonly policy: LbPolicy;
  readonly overprovisioningFactor: number;
  readonly localityWeighted: boolean;
  readonly random: Random;
}

/** `all` is panic's choice. */
export type Fitness = 'healthy' | 'degraded' | 'all';

export class HostSet<H extends BalancerHost> {
  readonly counts: PriorityCounts;
  private readonly options: HostSetOptions;
  private readonly localities: readonly LocalityHosts<H>[];
  private readonly pickers = new Map<Fitness, Picker<H> | undefined>();

  constructor(localities: readonly LocalityHosts<H>[], options: HostSetOptions) {
    this.localities = localities;
    this.options = options;
    const count = { total: 0, healthy: 0, degraded: 0, unhealthy: 0, excluded: 0 };
    for (const { hosts } of localities) {
      for (const host of hosts) {
        count.total++;
        count[host.health]++;
        if (host.excluded === true) count.excluded++;
      }
    }
    this.counts = count;
  }

  /** The next endpoint of that fitness; `undefined` when there is none. Pickers are made when first needed. */
  pick(fitness: Fitness): H | undefined {
    let picker = this.pickers.get(fitness);
    if (picker === undefined && !this.pickers.has(fitness)) {
      picker = this.build(fitness);
      this.pickers.set(fitness, picker);
    }
    return picker?.pick();
  }

  private build(fitness: Fitness): Picker<H> | undefined {
    const { policy, random } = this.options;
    const fit = (host: H): boolean => fitness === 'all' || host.health === fitness;
    if (this.options.localityWeighted && fitness !== 'all') {
      const weighted = this.byLocality(fitness);
      if (weighted !== undefined) return weighted;
    }
    const hosts = this.localities.flatMap((locality) => locality.hosts.filter(fit));
    return hosts.length === 0 ? undefined : createPicker(hosts, policy, random);
  }

  /** Locality first, by weight times what it can still carry (Envoy, "Locality weighted load balancing"); then the policy. */
  private byLocality(fitness: 'healthy' | 'degraded'): Picker<H> | undefined {
    const { policy, random, overprovisioningFactor } = this.options;
    const weighted: { readonly picker: Picker<H>; readonly weight: number }[] = [];
    for (const { weight, hosts } of this.localities) {
      const fit = hosts.filter((host) => host.health === fitness);
      if (weight === undefined || weight === 0 || fit.length === 0) continue;
      const carries = Math.min(1, (overprovisioningFactor * fit.length) / (100 * hosts.length));
      weighted.push({ picker: createPicker(fit, policy, random), weight: weight * carries });
    }
    if (weighted.length === 0) return undefined;
    const localities = new EdfScheduler(weighted, (locality) => locality.weight, random);
    return { pick: () => localities.pick().picker.pick() };
  }
}
