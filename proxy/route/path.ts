/**
 * What the connection manager does to a path and an authority before routes are matched: `normalize_path`,
 * `merge_slashes`, `path_with_escaped_slashes_action`, `strip_port`, `strip_trailing_host_dot`. In Envoy's order: escaped
 * slashes, normalization, merging.
 */
import type { HttpConnectionManager } from '../../xds-client/model/http-connection-manager.ts';
import { portStart } from './table.ts';

export interface PathOptions {
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: HttpConnectionManager['escapedSlashes'];
}

export type PathResult =
  /** Go on with `path`, which may be the one that came. */
  | { readonly kind: 'path'; readonly path: string }
  /** Answer 307 to `path`. */
  | { readonly kind: 'redirect'; readonly path: string }
  /** Answer 400, details `path_normalization_failed`. `path` is as far as it got. */
  | { readonly kind: 'reject'; readonly path: string };

/** The request's path, query kept, as the options want it. Paths that need no work come back as the same string. */
export function preparePath(path: string, options: PathOptions): PathResult {
  if (path.charCodeAt(0) !== 47) return { kind: 'path', path };
  const mark = path.indexOf('?');
  const query = mark < 0 ? '' : path.slice(mark);
  let bare = mark < 0 ? path : path.slice(0, mark);
  let redirect = false;
  if (options.escapedSlashes !== 'keep') {
    const unescaped = unescapeSlashes(bare);
    if (unescaped !== bare) {
      bare = unescaped;
      if (options.escapedSlashes === 'reject') return { kind: 'reject', path: bare + query };
      redirect = options.escapedSlashes === 'unescape-redirect';
    }
  }
  if (options.normalizePath) {
    const normal = normalizePath(bare);
    if (normal === undefined) return { kind: 'reject', path: bare + query };
    bare = normal;
  }
  if (options.mergeSlashes) bare = mergeSlashes(bare);
  return { kind: redirect ? 'redirect' : 'path', path: query === '' ? bare : bare + query };
}

/** `%2F` and `%5C` to the characters they stand for. */
export function unescapeSlashes(path: string): string {
  if (!path.includes('%')) return path;
  let made = '';
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i) === 37 ? escapedCode(path, i) : -1;
    if (code === 47 || code === 92) {
      made += String.fromCharCode(code);
      i += 2;
    } else made += path.charAt(i);
  }
  return made;
}

/** Characters that go out escaped. */
const ESCAPED: { readonly [character: string]: string } = {
  ' ': '%20',
  '"': '%22',
  '<': '%3C',
  '>': '%3E',
  '`': '%60',
  '{': '%7B',
  '}': '%7D',
  '|': '%7C',
  '^': '%5E',
};

/**
 * RFC 3986 §6.2.2 as Envoy does it: dot segments resolved (a segment counts as one with parameters too: `..;x`),
 * backslashes to slashes, escaped unreserved characters decoded, unsafe ones escaped. `undefined`: `%00`. An escaped
 * dot segment with parameters (`%2e%2e;x`), which Envoy decodes and leaves in place, is resolved here.
 */
export function normalizePath(path: string): string | undefined {
  if (isNormal(path)) return path;
  const kept: string[] = [];
  let segment = '';
  for (let i = 1; i <= path.length; i++) {
    const c = i === path.length ? '/' : path.charAt(i);
    if (c === '/' || c === '\\') {
      const parameters = segment.indexOf(';');
      const name = parameters < 0 ? segment : segment.slice(0, parameters);
      const last = i === path.length;
      if (name === '..') kept.pop();
      if (name !== '..' && name !== '.') kept.push(segment);
      else if (last) kept.push('');
      segment = '';
    } else if (c === '%') {
      const code = escapedCode(path, i);
      if (code === 0) return undefined;
      if (code > 0 && isUnreserved(code)) {
        segment += String.fromCharCode(code);
        i += 2;
      } else segment += c;
    } else segment += ESCAPED[c] ?? c;
  }
  return `/${kept.join('/')}`;
}

/** `//` and more to one `/`. */
export function mergeSlashes(path: string): string {
  if (!path.includes('//')) return path;
  let made = '';
  for (let i = 0; i < path.length; i++) {
    if (path.charCodeAt(i) !== 47 || path.charCodeAt(i + 1) !== 47) made += path.charAt(i);
  }
  return made;
}

/** The authority without its port: any, or (`matching`) only the listener's own. */
export function stripPort(authority: string, mode: HttpConnectionManager['stripPort'], listenerPort: number): string {
  if (mode === 'no') return authority;
  const at = portStart(authority);
  // A colon without a port stays, as in Envoy.
  if (at < 0 || at === authority.length - 1) return authority;
  return mode === 'any' || authority.slice(at + 1) === String(listenerPort) ? authority.slice(0, at) : authority;
}

/** `pay.example.:80` to `pay.example:80`. */
export function stripTrailingHostDot(authority: string): string {
  const at = portStart(authority);
  const end = at < 0 ? authority.length : at;
  if (end === 0 || authority.charCodeAt(end - 1) !== 46) return authority;
  return authority.slice(0, end - 1) + authority.slice(end);
}

/** Nothing that normalization changes: no escape, backslash, segment that begins with a dot, or unsafe character. */
function isNormal(path: string): boolean {
  for (let i = 0; i < path.length; i++) {
    switch (path.charCodeAt(i)) {
      case 46:
        if (path.charCodeAt(i - 1) === 47) return false;
        break;
      case 32:
      case 34:
      case 37:
      case 60:
      case 62:
      case 92:
      case 94:
      case 96:
      case 123:
      case 124:
      case 125:
        return false;
      default:
    }
  }
  return true;
}

/** The byte that `%XX` at `at` stands for, or -1. */
function escapedCode(text: string, at: number): number {
  const high = hex(text.charCodeAt(at + 1));
  const low = hex(text.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hex(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function isUnreserved(code: number): boolean {
  const lower = code | 32;
  if ((lower >= 97 && lower <= 122) || (code >= 48 && code <= 57)) return true;
  return code === 45 || code === 46 || code === 95 || code === 126;
}
