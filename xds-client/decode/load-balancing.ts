/** How a cluster chooses an endpoint: `lb_policy` with its settings, or `load_balancing_policy`. */
import type { MessageObject } from '../../protos/index.ts';
import type { Balancing, LbPolicy, SlowStart } from '../model/cluster.ts';
import { duration, each, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, has, message, number, percent, text, word, wrappedNumber } from './fields.ts';
import { typeNameOf } from './unpack.ts';

const CLUSTER = 'envoy.config.cluster.v3';
const POLICIES = 'envoy.extensions.load_balancing_policies';
const COMMON = `${POLICIES}.common.v3`;
const ZONES = "the caller's zone is not looked at: localities share by weight, or their endpoints by their own";
export const NO_HASHING = 'hashing load balancers are not built';
export const NOT_PROVIDED = 'only ORIGINAL_DST clusters bring their own load balancer';

support(`${CLUSTER}.Cluster.RoundRobinLbConfig`, {
  acts: [],
  ignored: {
    slow_start_config: 'a new endpoint gets its full share at once',
  },
});
support(`${CLUSTER}.Cluster.LeastRequestLbConfig`, {
  acts: ['choice_count', 'active_request_bias'],
  ignored: {
    slow_start_config: 'a new endpoint gets its full share at once',
  },
});
support('envoy.config.core.v3.RuntimeDouble', {
  acts: ['default_value'],
  ignored: { runtime_key: 'the value stays as configured' },
});
support(`${CLUSTER}.LoadBalancingPolicy`, { acts: ['policies'] });
support(`${CLUSTER}.LoadBalancingPolicy.Policy`, { acts: ['typed_extension_config'] });
support(`${POLICIES}.round_robin.v3.RoundRobin`, {
  acts: ['locality_lb_config'],
  ignored: {
    slow_start_config: 'a new endpoint gets its full share at once',
  },
});
support(`${POLICIES}.least_request.v3.LeastRequest`, {
  acts: ['choice_count', 'active_request_bias', 'locality_lb_config'],
  ignored: {
    slow_start_config: 'a new endpoint gets its full share at once',
    enable_full_scan: 'endpoints are compared by choice_count',
    selection_method: 'endpoints are compared by choice_count',
  },
});
support(`${POLICIES}.random.v3.Random`, { acts: ['locality_lb_config'] });
support(`${COMMON}.LocalityLbConfig`, {
  acts: ['locality_weighted_lb_config'],
  ignored: { zone_aware_lb_config: ZONES },
});
support(`${COMMON}.LocalityLbConfig.LocalityWeightedLbConfig`, { acts: [] });
support(`${POLICIES}.wrr_locality.v3.WrrLocality`, { acts: ['endpoint_picking_policy'] });

/** A policy of `load_balancing_policy` with its own word on localities. */
function withLocalities(lb: LbPolicy, config: MessageObject | undefined): Balancing {
  return { lb, localityWeighted: has(message(config, 'locality_lb_config'), 'locality_weighted_lb_config') };
}

function decodeSlowStart(of: MessageObject | undefined, ctx: DecodeContext): SlowStart | undefined {
  const config = message(of, 'slow_start_config');
  if (config === undefined) return undefined;
  return ctx.at('slow_start_config', () => {
    const aggression = message(config, 'aggression');
    return {
      windowMs: duration(config, 'slow_start_window', ctx) ?? 0,
      aggression: aggression === undefined ? 1 : number(aggression, 'default_value'),
      minWeightPercent: percent(config, 'min_weight_percent') ?? 10,
    };
  });
}

function roundRobin(config: MessageObject | undefined, ctx: DecodeContext): LbPolicy {
  return { kind: 'round-robin', slowStart: decodeSlowStart(config, ctx) };
}

function leastRequest(config: MessageObject | undefined, ctx: DecodeContext): LbPolicy {
  const bias = message(config, 'active_request_bias');
  return {
    kind: 'least-request',
    choiceCount: wrappedNumber(config, 'choice_count') ?? 2,
    activeRequestBias: bias === undefined ? 1 : number(bias, 'default_value'),
    slowStart: decodeSlowStart(config, ctx),
  };
}

export const ROUND_ROBIN: Extension<Balancing> = {
  name: 'envoy.load_balancing_policies.round_robin',
  type: `${POLICIES}.round_robin.v3.RoundRobin`,
  decode: (config, ctx) => withLocalities(roundRobin(config, ctx), config),
};

export const LEAST_REQUEST: Extension<Balancing> = {
  name: 'envoy.load_balancing_policies.least_request',
  type: `${POLICIES}.least_request.v3.LeastRequest`,
  decode: (config, ctx) => withLocalities(leastRequest(config, ctx), config),
};

export const RANDOM: Extension<Balancing> = {
  name: 'envoy.load_balancing_policies.random',
  type: `${POLICIES}.random.v3.Random`,
  decode: (config) => withLocalities({ kind: 'random' }, config),
};

/** A locality by its weight, then the policy inside. */
export const WRR_LOCALITY: Extension<Balancing> = {
  name: 'envoy.load_balancing_policies.wrr_locality',
  type: `${POLICIES}.wrr_locality.v3.WrrLocality`,
  decode: (config, ctx) => {
    const inner = inside(config, 'endpoint_picking_policy', ctx, (policy) => decodePolicyList(policy, ctx));
    return { lb: inner?.lb ?? { kind: 'round-robin', slowStart: undefined }, localityWeighted: true };
  },
};

/** envoy LoadBalancingPolicy: the first of the list that Tollway knows. */
function decodePolicyList(list: MessageObject, ctx: DecodeContext): Balancing | undefined {
  const offered = each(list, 'policies', ctx, (policy) => message(policy, 'typed_extension_config'));
  const known = new Set(
    ctx.extensions['load-balancing-policy'].filter((entry) => 'decode' in entry).map(({ type }) => type),
  );
  const types = offered.map((config) => {
    const typed = any(config, 'typed_config');
    return typed === undefined ? undefined : typeNameOf(typed, ctx);
  });
  const index = types.findIndex((type) => type !== undefined && known.has(type));
  const chosen = offered[index];
  if (chosen === undefined) {
    const names = types.map((type) => type ?? 'none').join(', ');
    ctx.error(
      `Didn't find a registered load balancer factory for cluster; offered: ${names === '' ? 'none' : names}`,
      'policies',
    );
    return undefined;
  }
  const found = ctx.at('policies', () =>
    ctx.at(index, () =>
      decodeExtension('load-balancing-policy', any(chosen, 'typed_config'), text(chosen, 'name'), ctx),
    ),
  );
  return found.kind === 'acts' ? found.value : undefined;
}

/** Of a Cluster. `refused` ones leave an error and stand as round robin. */
export function decodeBalancing(cluster: MessageObject, ctx: DecodeContext): Balancing {
  if (word(cluster, 'type', 'STATIC') === 'ORIGINAL_DST') {
    return { lb: { kind: 'cluster-provided' }, localityWeighted: false };
  }
  const list = inside(cluster, 'load_balancing_policy', ctx, (policy) => decodePolicyList(policy, ctx));
  if (list !== undefined) return list;
  // Only beside `lb_policy`: a policy of the list says it itself.
  const localityWeighted = has(message(cluster, 'common_lb_config'), 'locality_weighted_lb_config');
  return { lb: decodeLbPolicy(cluster, ctx), localityWeighted };
}

function decodeLbPolicy(cluster: MessageObject, ctx: DecodeContext): LbPolicy {
  const policy = word(cluster, 'lb_policy', 'ROUND_ROBIN');
  switch (policy) {
    case 'ROUND_ROBIN':
      return ctx.at('round_robin_lb_config', () => roundRobin(message(cluster, 'round_robin_lb_config'), ctx));
    case 'LEAST_REQUEST':
      return ctx.at('least_request_lb_config', () => leastRequest(message(cluster, 'least_request_lb_config'), ctx));
    case 'RANDOM':
      return { kind: 'random' };
    case 'RING_HASH':
    case 'MAGLEV':
      ctx.error(`${policy} is not supported: ${NO_HASHING}`, 'lb_policy');
      break;
    case 'CLUSTER_PROVIDED':
      ctx.error(`CLUSTER_PROVIDED is not supported: ${NOT_PROVIDED}`, 'lb_policy');
      break;
    case 'LOAD_BALANCING_POLICY_CONFIG':
      if (!has(cluster, 'load_balancing_policy')) {
        ctx.error('cluster: field load_balancing_policy need to be set', 'load_balancing_policy');
      }
      break;
  }
  return { kind: 'round-robin', slowStart: undefined };
}
