/** The CORS filter: its policy, and the deprecated one that routes and virtual hosts hold themselves. */
import type { MessageObject } from '../../../protos/index.ts';
import type { CorsPolicy } from '../../model/filters/cors.ts';
import { plain } from '../../model/plain.ts';
import { decodeFraction, each, inside } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { text, wrappedFlag } from '../fields.ts';
import { decodeStringMatch } from '../matcher.ts';

const NAME = 'envoy.filters.http.cors';
const PACKAGE = 'envoy.extensions.filters.http.cors.v3';

const FIELDS = [
  'allow_origin_string_match',
  'allow_methods',
  'allow_headers',
  'expose_headers',
  'max_age',
  'allow_credentials',
  'filter_enabled',
  'shadow_enabled',
  'allow_private_network_access',
  'forward_not_matching_preflights',
];

support(`${PACKAGE}.Cors`, { acts: [] });
support(`${PACKAGE}.CorsPolicy`, { acts: FIELDS });
support('envoy.config.route.v3.CorsPolicy', { acts: FIELDS });

/** Either message: their fields have the same names. */
export function decodeCorsPolicy(policy: MessageObject, ctx: DecodeContext): CorsPolicy {
  return {
    allowOrigins: each(policy, 'allow_origin_string_match', ctx, (match) => decodeStringMatch(match, ctx)),
    allowMethods: text(policy, 'allow_methods'),
    allowHeaders: text(policy, 'allow_headers'),
    exposeHeaders: text(policy, 'expose_headers'),
    maxAge: text(policy, 'max_age'),
    allowCredentials: wrappedFlag(policy, 'allow_credentials'),
    allowPrivateNetworkAccess: wrappedFlag(policy, 'allow_private_network_access'),
    forwardNotMatchingPreflights: wrappedFlag(policy, 'forward_not_matching_preflights'),
    enabled: inside(policy, 'filter_enabled', ctx, decodeFraction),
    shadowEnabled: inside(policy, 'shadow_enabled', ctx, decodeFraction),
  };
}

export const CORS: Extension<ExtensionResults['http-filter']> = {
  name: NAME,
  type: `${PACKAGE}.Cors`,
  decode: () => ({ terminal: false, config: {} }),
};

export const CORS_ROUTE: Extension<ExtensionResults['http-filter-route']> = {
  name: NAME,
  type: `${PACKAGE}.CorsPolicy`,
  decode: (policy, ctx) => plain(decodeCorsPolicy(policy, ctx)),
};
