/** Filters' configurations as proto3 JSON through the decoders: what a filter is built with, and what is refused. */
import assert from 'node:assert/strict';
import type { Json } from '../../xds-client/model/common.ts';
import { accepted, hcm, LISTENER, listener, ROUTES, refused, routed, router } from '../decode/decoding.ts';

type Message = { readonly [field: string]: unknown };

const typed = (type: string, message: Message) => ({ '@type': `type.googleapis.com/${type}`, ...message });
const chainWith = (type: string, message: Message) =>
  listener([hcm({ http_filters: [{ name: 'it', typed_config: typed(type, message) }, router] })]);
const routeWith = (type: string, message: Message) =>
  routed({
    match: { prefix: '/' },
    direct_response: { status: 200 },
    typed_per_filter_config: { it: typed(type, message) },
  });

/** What the worker gets of a filter's configuration. */
export function filterConfig(type: string, message: Message): Json {
  const manager = accepted(LISTENER, chainWith(type, message)).filterChains[0]?.filters[0];
  assert.ok(manager?.kind === 'http-connection-manager');
  return manager.config.httpFilters[0]?.extension.config ?? null;
}

/** What the worker gets of a route's word on a filter. */
export function routeConfig(type: string, message: Message): Json {
  return accepted(ROUTES, routeWith(type, message)).virtualHosts[0]?.routes[0]?.perFilterConfig.it?.config ?? null;
}

/** The errors without the path of the filter. */
export function refusedFilter(type: string, message: Message): string[] {
  return refused(LISTENER, chainWith(type, message)).map((line) => line.replace(/^.*http_filters\[0\]\.?/, ''));
}

export function refusedRoute(type: string, message: Message): string[] {
  return refused(ROUTES, routeWith(type, message)).map((line) => line.replace(/^.*\["it"\]\.?/, ''));
}
