/** Resources written as proto3 JSON, sent through the wire format into the decoders. */
import assert from 'node:assert/strict';
import { type Any, encodeMessage, fromJson, hasMessage, type JsonProblem } from '../../protos/index.ts';
import type { Decoded, FieldError, UnsupportedField } from '../../xds-client/decode/context.ts';
import { type DecodedResources, decodeResourceOf, type ResourceMessage } from '../../xds-client/decode/index.ts';

export const LISTENER = 'envoy.config.listener.v3.Listener';
export const ROUTES = 'envoy.config.route.v3.RouteConfiguration';
export const CLUSTER = 'envoy.config.cluster.v3.Cluster';
export const ENDPOINTS = 'envoy.config.endpoint.v3.ClusterLoadAssignment';
export const SECRET = 'envoy.extensions.transport_sockets.tls.v3.Secret';

type Json = { readonly [key: string]: unknown };

/** An `Any` whose message is in no descriptor travels as a TypedStruct, which names its type all the same. */
function wrapUnknown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(wrapUnknown);
  if (value === null || typeof value !== 'object') return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, wrapUnknown(inner)]));
  const type = copy['@type'];
  if (typeof type !== 'string' || hasMessage(type.slice(type.lastIndexOf('/') + 1))) return copy;
  delete copy['@type'];
  return { '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct', type_url: type, value: copy };
}

/** Drops the fields that newer protos have, and says which: recordings may be newer than the protos shipped here. */
function withoutUnknown(type: string, json: unknown, dropped: string[]): Buffer {
  const problems: JsonProblem[] = [];
  const message = fromJson(type, wrapUnknown(json), problems);
  for (const problem of problems) {
    assert.equal(problem.kind, 'unknown-field', `${problem.path}: ${problem.message}`);
    dropped.push(problem.path);
  }
  return encodeMessage(type, message);
}

export function packed(type: string, json: unknown, dropped: string[] = []): Any {
  return { type_url: `type.googleapis.com/${type}`, value: withoutUnknown(type, json, dropped) };
}

export function decode<M extends ResourceMessage>(type: M, json: Json): Decoded<DecodedResources[M]> {
  const dropped: string[] = [];
  const any = packed(type, json, dropped);
  assert.deepEqual(dropped, []);
  return decodeResourceOf(type, any);
}

/** The model of a resource that has to be accepted. */
export function accepted<M extends ResourceMessage>(type: M, json: Json): DecodedResources[M] {
  const decoded = decode(type, json);
  if (!decoded.ok) assert.fail(lines(decoded.errors).join('\n'));
  return decoded.value;
}

export function refused<M extends ResourceMessage>(type: M, json: Json): string[] {
  const decoded = decode(type, json);
  assert.equal(decoded.ok, false, 'the resource was accepted');
  return decoded.ok ? [] : lines(decoded.errors);
}

export function warned<M extends ResourceMessage>(type: M, json: Json): readonly UnsupportedField[] {
  const decoded = decode(type, json);
  if (!decoded.ok) assert.fail(lines(decoded.errors).join('\n'));
  return decoded.unsupported;
}

export function lines(errors: readonly FieldError[]): string[] {
  return errors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
}

const TYPE = 'type.googleapis.com/';
const HCM = `${TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;

export const router = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${TYPE}envoy.extensions.filters.http.router.v3.Router` },
};

export const loopback = { socket_address: { address: '127.0.0.1', port_value: 8080 } };

export const table = {
  name: 'routes',
  virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'payment' } }] }],
};

export function hcm(changes: Json = {}): Json {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: { '@type': HCM, stat_prefix: 'in', route_config: table, http_filters: [router], ...changes },
  };
}

export function listener(filters: readonly Json[], changes: Json = {}, chain: Json = {}): Json {
  return { name: 'in', address: loopback, filter_chains: [{ filters, ...chain }], ...changes };
}

export function routed(route: Json, host: Json = {}, changes: Json = {}): Json {
  return { name: 'routes', virtual_hosts: [{ name: 'v', domains: ['*'], routes: [route], ...host }], ...changes };
}

export function staticCluster(changes: Json = {}): Json {
  return {
    name: 'payment',
    type: 'STATIC',
    load_assignment: {
      cluster_name: 'payment',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback } }] }],
    },
    ...changes,
  };
}
