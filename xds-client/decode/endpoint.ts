/** EDS: the endpoints of a cluster. */
import type { MessageObject } from '../../protos/index.ts';
import type { Assignment, EdsHealth, Endpoint, Locality, LocalityEndpoints } from '../model/endpoint.ts';
import { decodeAddress, decodeFractionalPercent, decodeMetadata, duration, each, requireIp } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { message, messages, number, text, word, wrappedNumber } from './fields.ts';
import { decodeEndpointCheck } from './health-check.ts';

const ENDPOINT = 'envoy.config.endpoint.v3';

support(`${ENDPOINT}.ClusterLoadAssignment`, {
  acts: ['cluster_name', 'endpoints', 'policy'],
  ignored: { named_endpoints: 'endpoints are given in place' },
});
support(`${ENDPOINT}.ClusterLoadAssignment.Policy`, {
  acts: ['overprovisioning_factor'],
  ignored: {
    drop_overloads: 'no share of the requests is dropped',
    endpoint_stale_after: 'endpoints stay until they are taken away',
    weighted_priority_health: "a priority's health counts its endpoints",
  },
});
support(`${ENDPOINT}.LocalityLbEndpoints`, {
  acts: ['locality', 'lb_endpoints', 'load_balancer_endpoints', 'load_balancing_weight', 'priority'],
  ignored: {
    metadata: "nothing reads a locality's metadata",
    proximity: 'Envoy does not act on it either',
  },
  refused: { leds_cluster_locality_config: 'endpoints come with their assignment' },
});
support(`${ENDPOINT}.LocalityLbEndpoints.LbEndpointList`, { acts: ['lb_endpoints'] });
support(`${ENDPOINT}.LbEndpoint`, {
  acts: ['endpoint', 'health_status', 'metadata', 'load_balancing_weight'],
  refused: { endpoint_name: 'endpoints are given in place' },
});
support(`${ENDPOINT}.Endpoint`, {
  acts: ['address', 'hostname', 'health_check_config'],
  ignored: {
    additional_addresses: 'the first address is connected to',
  },
});
support('envoy.config.core.v3.Locality', { acts: ['region', 'zone', 'sub_zone'] });

const HEALTH: { readonly [status: string]: EdsHealth } = {
  UNKNOWN: 'unknown',
  HEALTHY: 'healthy',
  UNHEALTHY: 'unhealthy',
  DRAINING: 'draining',
  TIMEOUT: 'timeout',
  DEGRADED: 'degraded',
};

export function decodeLocality(locality: MessageObject | undefined): Locality {
  return { region: text(locality, 'region'), zone: text(locality, 'zone'), subZone: text(locality, 'sub_zone') };
}

/** What the addresses have to be: IPs, but where DNS resolves them. */
export interface EndpointRules {
  readonly names: boolean;
}

function decodeEndpoint(lb: MessageObject, rules: EndpointRules, ctx: DecodeContext): Endpoint {
  const endpoint = message(lb, 'endpoint');
  return ctx.at('endpoint', () => {
    const address = ctx.at('address', () => decodeAddress(message(endpoint, 'address'), ctx));
    const hint = ". Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'";
    if (!rules.names) ctx.at('address', () => requireIp(address, hint, ctx));
    const healthCheck = decodeEndpointCheck(endpoint, ctx);
    return {
      address,
      hostname: text(endpoint, 'hostname'),
      health: HEALTH[word(lb, 'health_status', 'UNKNOWN')] ?? 'unknown',
      weight: wrappedNumber(lb, 'load_balancing_weight') ?? 1,
      metadata: decodeMetadata(lb, 'metadata'),
      ...(healthCheck === undefined ? {} : { healthCheck }),
    };
  });
}

function decodeLocalityEndpoints(group: MessageObject, rules: EndpointRules, ctx: DecodeContext): LocalityEndpoints {
  const list = message(group, 'load_balancer_endpoints');
  const endpoints =
    list === undefined
      ? each(group, 'lb_endpoints', ctx, (lb) => decodeEndpoint(lb, rules, ctx))
      : ctx.at('load_balancer_endpoints', () =>
          each(list, 'lb_endpoints', ctx, (lb) => decodeEndpoint(lb, rules, ctx)),
        );
  return {
    locality: decodeLocality(message(group, 'locality')),
    priority: number(group, 'priority'),
    weight: wrappedNumber(group, 'load_balancing_weight'),
    endpoints,
  };
}

/** Envoy's limit, so that weights stay within 32 bits. */
const MAX_WEIGHT = 4_294_967_295;

/** The weights of a locality's endpoints stay within 32 bits. */
function checkWeights(localities: readonly LocalityEndpoints[], ctx: DecodeContext): void {
  for (const [index, { endpoints }] of localities.entries()) {
    const total = endpoints.reduce((sum, { weight }) => sum + weight, 0);
    if (total > MAX_WEIGHT) {
      ctx.at('endpoints', () =>
        ctx.at(index, () =>
          ctx.error(`the sum of weights of all endpoints in the same locality exceeds ${MAX_WEIGHT}`),
        ),
      );
    }
  }
}

/** The endpoints in a cluster's own `load_assignment`, or of an EDS resource. */
export function decodeLocalities(
  assignment: MessageObject | undefined,
  rules: EndpointRules,
  ctx: DecodeContext,
): LocalityEndpoints[] {
  const localities = each(assignment, 'endpoints', ctx, (group) => decodeLocalityEndpoints(group, rules, ctx));
  checkWeights(localities, ctx);
  return localities;
}

/** Of a ClusterLoadAssignment; Envoy's default is 140. */
export function decodeOverprovisioning(assignment: MessageObject | undefined): number {
  return wrappedNumber(message(assignment, 'policy'), 'overprovisioning_factor') ?? 140;
}

/** envoy ClusterLoadAssignment. */
export function decodeAssignment(assignment: MessageObject, ctx: DecodeContext): Assignment {
  const policy = message(assignment, 'policy');
  return {
    clusterName: text(assignment, 'cluster_name'),
    localities: decodeLocalities(assignment, { names: false }, ctx),
    overprovisioningFactor: decodeOverprovisioning(assignment),
    endpointStaleAfterMs: ctx.at('policy', () => duration(policy, 'endpoint_stale_after', ctx)),
    drops: messages(policy, 'drop_overloads').map((drop) => ({
      category: text(drop, 'category'),
      ...decodeFractionalPercent(message(drop, 'drop_percentage')),
    })),
  };
}
