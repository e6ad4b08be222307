/** Everything outside asks here: resources and the bootstrap, from bytes to the model. */
import type { Any, MessageObject } from '../../protos/index.ts';
import type { Bootstrap } from '../model/bootstrap.ts';
import type { Cluster } from '../model/cluster.ts';
import type { Assignment } from '../model/endpoint.ts';
import type { Listener } from '../model/listener.ts';
import type { RouteConfiguration } from '../model/route.ts';
import type { Secret } from '../model/tls.ts';
import { decodeBootstrapMessage } from './bootstrap.ts';
import type { DecodeChecks } from './checks.ts';
import { decodeCluster } from './cluster.ts';
import { DecodeContext, type Decoded } from './context.ts';
import { decodeAssignment } from './endpoint.ts';
import { EXTENSIONS } from './extensions.ts';
import { decodeListener } from './listener.ts';
import { decodeRouteConfiguration } from './route.ts';
import { decodeSecret } from './tls-material.ts';
import { messageName, unpack } from './unpack.ts';

export type { DecodeChecks } from './checks.ts';
export type { Decoded, FieldError, Support, UnsupportedField } from './context.ts';
export { declaredSupport } from './context.ts';
export { redactResource } from './redact.ts';

/** Model of each resource type, by its message's name. */
export interface DecodedResources {
  'envoy.config.listener.v3.Listener': Listener;
  'envoy.config.route.v3.RouteConfiguration': RouteConfiguration;
  'envoy.config.cluster.v3.Cluster': Cluster;
  'envoy.config.endpoint.v3.ClusterLoadAssignment': Assignment;
  'envoy.extensions.transport_sockets.tls.v3.Secret': Secret;
}

export type ResourceMessage = keyof DecodedResources;

const DECODERS: {
  readonly [M in ResourceMessage]: (message: MessageObject, ctx: DecodeContext) => DecodedResources[M];
} = {
  'envoy.config.listener.v3.Listener': decodeListener,
  'envoy.config.route.v3.RouteConfiguration': (table, ctx) => decodeRouteConfiguration(table, ctx, false),
  'envoy.config.cluster.v3.Cluster': decodeCluster,
  'envoy.config.endpoint.v3.ClusterLoadAssignment': decodeAssignment,
  'envoy.extensions.transport_sockets.tls.v3.Secret': decodeSecret,
};

export function isResourceMessage(name: string): name is ResourceMessage {
  return Object.hasOwn(DECODERS, name);
}

/** Runs a decoder to the end whatever it is given: what it throws becomes an error of the resource. */
function collect<T>(decode: (ctx: DecodeContext) => T | undefined, checks?: DecodeChecks): Decoded<T> {
  const ctx = new DecodeContext(EXTENSIONS, checks);
  let value: T | undefined;
  try {
    value = decode(ctx);
  } catch (cause) {
    // Nesting beyond the stack is the one way there: paths are gone by then.
    ctx.error(`cannot be decoded: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const { errors, unsupported } = ctx;
  if (value !== undefined && errors.length === 0) return { ok: true, value, unsupported };
  return { ok: false, errors, unsupported };
}

/** Why an extension of that type is not taken, where it is known by name. */
export function whyRefused(type: string): string | undefined {
  for (const table of Object.values(EXTENSIONS)) {
    const known = table.find((extension) => extension.type === type);
    if (known !== undefined && 'refused' in known) return known.refused;
  }
  return undefined;
}

/** One resource of a known type, from the `Any` of a response. */
export function decodeResourceOf<M extends ResourceMessage>(
  type: M,
  any: Any,
  checks?: DecodeChecks,
): Decoded<DecodedResources[M]> {
  return collect((ctx) => {
    const message = unpack(any, type, ctx);
    return message === undefined ? undefined : DECODERS[type](message, ctx);
  }, checks);
}

/** One resource, by the response's type URL. A type that is not a resource is an error, as is another one's `Any`. */
export function decodeResource(typeUrl: string, any: Any): Decoded<DecodedResources[ResourceMessage]> {
  const type = messageName(typeUrl);
  if (isResourceMessage(type)) return decodeResourceOf(type, any);
  return collect<DecodedResources[ResourceMessage]>((ctx) => {
    ctx.error(`"${typeUrl}" is not a resource type`);
    return undefined;
  });
}

/** The bootstrap, as `protos` read it from the file. */
export function decodeBootstrap(message: MessageObject, checks?: DecodeChecks): Decoded<Bootstrap> {
  return collect((ctx) => decodeBootstrapMessage(message, ctx), checks);
}
