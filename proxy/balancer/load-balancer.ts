/** A cluster's choice over priorities, fitness, localities and policy. Rebuilt whenever membership, health or weights change. */
import type { LbPolicy } from '../../xds-client/model/cluster.ts';
import type { BalancerHost, LocalityHosts, Random } from './contract.ts';
import { HostSet } from './host-set.ts';
import { choosePriority, type PriorityLoad, spreadLoad } from './priorities.ts';

export interface LoadBalancerOptions {
  readonly policy: LbPolicy;
  /** 140: a priority with 5/7 of its endpoints healthy still carries all of its load. */
  readonly overprovisioningFactor: number;
  /** 0 turns panic off. */
  readonly panicThresholdPercent: number;
  readonly localityWeighted: boolean;
  readonly random: Random;
  /** Called for each choice that is made in panic. */
  readonly onPanic: () => void;
}

export class LoadBalancer<H extends BalancerHost> {
  readonly load: PriorityLoad;
  private readonly sets: readonly HostSet<H>[];
  private readonly options: LoadBalancerOptions;
  /** All load on the first priority's healthy endpoints and no panic: the usual case, without drawing. */
  private readonly simple: boolean;

  constructor(localities: readonly LocalityHosts<H>[], options: LoadBalancerOptions) {
    this.options = options;
    const highest = localities.reduce((most, locality) => Math.max(most, locality.priority), 0);
    const byPriority: LocalityHosts<H>[][] = Array.from({ length: highest + 1 }, () => []);
    for (const locality of localities) byPriority[locality.priority]?.push(locality);
    this.sets = byPriority.map((members) => new HostSet(members, options));
    this.load = spreadLoad(
      this.sets.map((set) => set.counts),
      options.overprovisioningFactor,
      options.panicThresholdPercent,
    );
    this.simple = this.load.healthy[0] === 100 && this.load.panic[0] === false;
  }

  /** The next endpoint; `undefined` when there is none to be had. */
  choose(): H | undefined {
    if (this.simple) return this.sets[0]?.pick('healthy');
    const drawn = Math.floor(this.options.random() * 100);
    const { priority, degraded } = choosePriority(this.load, drawn);
    const set = this.sets[priority];
    if (this.load.panic[priority] === true) {
      this.options.onPanic();
      return set?.pick('all');
    }
    return set?.pick(degraded ? 'degraded' : 'healthy');
  }
}
