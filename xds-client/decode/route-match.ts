/** envoy RouteMatch: what a request has to look like. */
import type { MessageObject } from '../../protos/index.ts';
import type { PathMatch, QueryParameterMatch, RouteMatch } from '../model/route.ts';
import { decodeFraction, each, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, has, message, text, wrappedFlag } from './fields.ts';
import { decodeHeaderMatches, decodeRegex, decodeStringMatch } from './matcher.ts';

const ROUTE = 'envoy.config.route.v3';

support(`${ROUTE}.RouteMatch`, {
  acts: [
    'prefix',
    'path',
    'safe_regex',
    'connect_matcher',
    'path_separated_prefix',
    'path_match_policy',
    'case_sensitive',
    'runtime_fraction',
    'headers',
    'query_parameters',
    'grpc',
    'tls_context',
  ],
  refused: { dynamic_metadata: 'no filter sets dynamic metadata yet, so the route would never match' },
});
support(`${ROUTE}.RouteMatch.ConnectMatcher`, { acts: [] });
support(`${ROUTE}.RouteMatch.GrpcRouteMatchOptions`, { acts: [] });
support(`${ROUTE}.RouteMatch.TlsContextMatchOptions`, { acts: ['presented', 'validated'] });
support(`${ROUTE}.QueryParameterMatcher`, { acts: ['name', 'string_match', 'present_match'] });
support('envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig', { acts: ['path_template'] });
support('envoy.config.core.v3.TypedExtensionConfig', { acts: ['name', 'typed_config'] });

export const URI_TEMPLATE: Extension<PathMatch> = {
  name: 'envoy.path.match.uri_template.uri_template_matcher',
  type: 'envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
  decode: (config) => ({ kind: 'uri-template', value: text(config, 'path_template') }),
};

function decodePath(match: MessageObject, ctx: DecodeContext): PathMatch {
  const ignoreCase = wrappedFlag(match, 'case_sensitive') === false;
  if (has(match, 'path')) return { kind: 'exact', value: text(match, 'path'), ignoreCase };
  if (has(match, 'path_separated_prefix')) {
    return { kind: 'path-separated-prefix', value: text(match, 'path_separated_prefix'), ignoreCase };
  }
  const regex = inside(match, 'safe_regex', ctx, (value) => decodeRegex(value, ctx));
  if (regex !== undefined) return { kind: 'regex', value: regex };
  if (has(match, 'connect_matcher')) return { kind: 'connect' };
  const policy = inside(match, 'path_match_policy', ctx, (value) =>
    decodeExtension('path-match', any(value, 'typed_config'), text(value, 'name'), ctx),
  );
  if (policy?.kind === 'acts') return policy.value;
  return { kind: 'prefix', value: text(match, 'prefix'), ignoreCase };
}

function decodeQueryParameter(matcher: MessageObject, ctx: DecodeContext): QueryParameterMatch {
  return {
    name: text(matcher, 'name'),
    match: inside(matcher, 'string_match', ctx, (value) => decodeStringMatch(value, ctx)),
    present: has(matcher, 'present_match') ? flag(matcher, 'present_match') : undefined,
  };
}

export function decodeRouteMatch(match: MessageObject, ctx: DecodeContext): RouteMatch {
  const tls = message(match, 'tls_context');
  return {
    path: decodePath(match, ctx),
    headers: decodeHeaderMatches(match, 'headers', ctx),
    queryParameters: each(match, 'query_parameters', ctx, (matcher) => decodeQueryParameter(matcher, ctx)),
    grpc: has(match, 'grpc'),
    fraction: inside(match, 'runtime_fraction', ctx, decodeFraction),
    tls:
      tls === undefined
        ? undefined
        : { presented: wrappedFlag(tls, 'presented'), validated: wrappedFlag(tls, 'validated') },
  };
}
