/** envoy InternalRedirectPolicy and its predicates. */
import type { MessageObject } from '../../protos/index.ts';
import type { InternalRedirect, RedirectPredicate } from '../model/route.ts';
import { each, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, numbers, text, texts, word, wrappedNumber } from './fields.ts';

const PREDICATES = 'envoy.extensions.internal_redirect';

support('envoy.config.route.v3.InternalRedirectPolicy', {
  acts: [
    'max_internal_redirects',
    'redirect_response_codes',
    'predicates',
    'allow_cross_scheme_redirect',
    'response_headers_to_copy',
  ],
});
support(`${PREDICATES}.previous_routes.v3.PreviousRoutesConfig`, { acts: [] });
support(`${PREDICATES}.allow_listed_routes.v3.AllowListedRoutesConfig`, { acts: ['allowed_route_names'] });
support(`${PREDICATES}.safe_cross_scheme.v3.SafeCrossSchemeConfig`, { acts: [] });

export const PREVIOUS_ROUTES: Extension<RedirectPredicate> = {
  name: 'envoy.internal_redirect_predicates.previous_routes',
  type: `${PREDICATES}.previous_routes.v3.PreviousRoutesConfig`,
  decode: () => ({ kind: 'previous-routes' }),
};

export const ALLOW_LISTED_ROUTES: Extension<RedirectPredicate> = {
  name: 'envoy.internal_redirect_predicates.allow_listed_routes',
  type: `${PREDICATES}.allow_listed_routes.v3.AllowListedRoutesConfig`,
  decode: (config) => ({ kind: 'allow-listed-routes', names: texts(config, 'allowed_route_names') }),
};

export const SAFE_CROSS_SCHEME: Extension<RedirectPredicate> = {
  name: 'envoy.internal_redirect_predicates.safe_cross_scheme',
  type: `${PREDICATES}.safe_cross_scheme.v3.SafeCrossSchemeConfig`,
  decode: () => ({ kind: 'safe-cross-scheme' }),
};

/** Statuses that lead elsewhere; others of the list are passed over. */
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const DEFAULT_CODES: readonly number[] = [302];

/** Of a RouteAction: its policy, or the deprecated fields that came before it. */
export function decodeInternalRedirect(action: MessageObject, ctx: DecodeContext): InternalRedirect | undefined {
  const policy = inside(action, 'internal_redirect_policy', ctx, (value) => decodePolicy(value, ctx));
  if (policy !== undefined) return policy;
  if (word(action, 'internal_redirect_action', '') !== 'HANDLE_INTERNAL_REDIRECT') return undefined;
  return {
    maxRedirects: wrappedNumber(action, 'max_internal_redirects') ?? 1,
    codes: DEFAULT_CODES,
    predicates: [],
    allowCrossScheme: false,
    headersToCopy: [],
  };
}

function decodePolicy(policy: MessageObject, ctx: DecodeContext): InternalRedirect {
  const codes = numbers(policy, 'redirect_response_codes');
  const headersToCopy = texts(policy, 'response_headers_to_copy').map((name) => name.toLowerCase());
  if (headersToCopy.some((name) => name.startsWith(':') || name === 'host'))
    ctx.error(':-prefixed headers or Hosts may not be specified here.', 'response_headers_to_copy');
  const predicates = each(policy, 'predicates', ctx, (predicate) =>
    decodeExtension('internal-redirect-predicate', any(predicate, 'typed_config'), text(predicate, 'name'), ctx),
  );
  return {
    maxRedirects: wrappedNumber(policy, 'max_internal_redirects') ?? 1,
    codes: codes.length === 0 ? DEFAULT_CODES : codes.filter((code) => REDIRECTS.includes(code)),
    predicates: predicates.flatMap((found) => (found.kind === 'acts' ? [found.value] : [])),
    allowCrossScheme: flag(policy, 'allow_cross_scheme_redirect'),
    headersToCopy,
  };
}
