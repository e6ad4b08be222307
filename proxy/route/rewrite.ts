/** What a route changes about path and host, and where a redirect points; each as Envoy builds it. */
import type { PathMatch, RedirectAction, RegexRewrite, RouteAction } from '../../xds-client/model/route.ts';
import type { RequestHead } from '../http/headers.ts';
import { withoutQuery } from './match.ts';
import { RegexReplacement } from './regex.ts';
import { portStart } from './table.ts';

const replacements = new WeakMap<RegexRewrite, RegexReplacement>();

function replaceAll(rewrite: RegexRewrite, text: string): string {
  let replacement = replacements.get(rewrite);
  if (replacement === undefined) {
    replacement = new RegexReplacement(rewrite.regex, rewrite.substitution);
    replacements.set(rewrite, replacement);
  }
  return replacement.apply(text);
}

/** The path that goes upstream; the same string when nothing rewrites it. The query is kept. */
export function rewritePath(action: RouteAction | RedirectAction, match: PathMatch, path: string): string {
  const { prefixRewrite, regexRewrite } = action;
  if (prefixRewrite !== undefined && prefixRewrite !== '') {
    return prefixRewrite + path.slice(matchedLength(match, path));
  }
  if (regexRewrite === undefined) return path;
  const bare = withoutQuery(path);
  return replaceAll(regexRewrite, bare) + path.slice(bare.length);
}

function matchedLength(match: PathMatch, path: string): number {
  switch (match.kind) {
    case 'prefix':
    case 'path-separated-prefix':
      return match.value.length;
    case 'connect':
      return 0;
    default:
      return withoutQuery(path).length;
  }
}

/**
 * The authority that the route sends upstream; `undefined`: unchanged, or `auto`, which is the router's to do once it has
 * an endpoint with a host name. A weighted cluster's own is there before it, and is what the route rewrites.
 */
export function rewriteHost(action: RouteAction, head: RequestHead): string | undefined {
  const rewrite = action.hostRewrite;
  switch (rewrite?.kind) {
    case 'literal':
      return rewrite.value;
    case 'header': {
      const value = head.headers.get(rewrite.name);
      return value === '' ? undefined : value;
    }
    case 'path-regex':
      return replaceAll(rewrite.rewrite, withoutQuery(head.path));
    default:
      return undefined;
  }
}

/** The `location` of a redirect. */
export function redirectLocation(action: RedirectAction, match: PathMatch, head: RequestHead): string {
  const scheme = action.httpsRedirect ? 'https' : (action.scheme ?? head.scheme);
  const port = action.port === undefined || action.port === 0 ? '' : `:${action.port}`;
  const host = action.host === undefined || action.host === '' ? requestHost(head, scheme, port) : action.host;
  return `${scheme}://${host}${port}${redirectPath(action, match, head.path)}`;
}

function redirectPath(action: RedirectAction, match: PathMatch, path: string): string {
  let made: string;
  if (action.path !== undefined && action.path !== '') {
    // A query that the configuration wrote wins over the request's, and is not stripped.
    if (action.path.includes('?')) return action.path;
    made = action.path + path.slice(withoutQuery(path).length);
  } else made = rewritePath(action, match, path);
  return action.stripQuery ? withoutQuery(made) : made;
}

/** The request's host, without a port that would be wrong for the new scheme or port. */
function requestHost(head: RequestHead, scheme: string, port: string): string {
  const { authority } = head;
  const at = portStart(authority);
  if (at < 0) return authority;
  const own = authority.slice(at);
  const wasDefault = own === (head.scheme === 'https' ? ':443' : ':80');
  return port !== '' || (scheme !== head.scheme && wasDefault) ? authority.slice(0, at) : authority;
}
