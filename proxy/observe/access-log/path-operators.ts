/** Operators of a request's path: as it came, as it goes on, with and without its query. */
import type { RequestHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { maskSecrets } from '../mask.ts';
import type { Make } from './operator.ts';
import { loggedHeader } from './secrets.ts';

/** The path before a rewrite, where there was one. */
export function originalPath(head: RequestHead, info: StreamInfo): string | undefined {
  const kept = head.headers.get('x-envoy-original-path');
  if (kept !== undefined) return kept;
  return head.path === info.originalPath || info.originalPath === '' ? undefined : info.originalPath;
}

const PATHS: { readonly [which: string]: (head: RequestHead, info: StreamInfo) => string | undefined } = {
  ORIG: originalPath,
  PATH: (head) => head.path,
  ORIG_OR_PATH: (head, info) => originalPath(head, info) ?? head.path,
};

/** `PATH(NQ:ORIG)`: with (`WQ`) or without query, of which path. */
const path: Make = (argument, options) => {
  const [query = '', which = ''] = (argument ?? '').split(':');
  const read = PATHS[which === '' ? 'ORIG_OR_PATH' : which];
  if (read === undefined) return { error: `"${which}" is no path (ORIG, PATH, ORIG_OR_PATH)` };
  if (query !== '' && query !== 'WQ' && query !== 'NQ') {
    return { error: `"${query}" does not say whether the query is wanted (WQ, NQ)` };
  }
  const show = options.secrets === 'keep' ? (text: string) => text : maskSecrets;
  return (info) => {
    const found = read(info.request, info);
    if (found === undefined || found === '') return undefined;
    return show(query === 'NQ' ? (found.split('?', 1)[0] as string) : found);
  };
};

const queryParameter: Make = (argument, options) => {
  if (argument === undefined || argument === '') return { error: 'needs a parameter name' };
  const keep = options.secrets === 'keep';
  return (info) => {
    const query = queryOf(info.request.path);
    const value = query === undefined ? undefined : (new URLSearchParams(query).get(argument) ?? undefined);
    return keep ? value : loggedHeader(argument, value);
  };
};

/** The whole query as it came. Envoy's `DECODED` leaves it as it is too. */
const queryParameters: Make = (argument = '', options) => {
  if (argument !== '' && argument !== 'ORIG' && argument !== 'DECODED') {
    return { error: `"${argument}" is no form of a query (ORIG, DECODED)` };
  }
  const show = options.secrets === 'keep' ? (text: string) => text : maskSecrets;
  return (info) => {
    const query = queryOf(info.request.path);
    return query === undefined ? undefined : show(`?${query}`).slice(1);
  };
};

function queryOf(of: string): string | undefined {
  const at = of.indexOf('?');
  return at < 0 ? undefined : of.slice(at + 1);
}

export const PATH_OPERATORS: readonly (readonly [string, Make])[] = [
  ['PATH', path],
  ['QUERY_PARAM', queryParameter],
  ['QUERY_PARAMS', queryParameters],
];
