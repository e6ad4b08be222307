/**
 * Changes of a path's query. As in Envoy, parameters go out sorted by their names, each with `=`. Unlike Envoy, which decodes
 * them all, those that no step touches keep their bytes: an escaped `&` or line break stays what it was.
 */
import type { QueryStep } from '../../../../xds-client/model/filters/header-mutation.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { compileValue } from '../../../observe/access-log/header-value.ts';
import { latin1 } from '../../../route/headers.ts';

/** Gives the path with its query changed. */
export type QueryChanges = (path: string, info: StreamInfo) => string;

/** Decoded name to its parameters, written out. */
type Parameters = Map<string, string[]>;
type Change = (parameters: Parameters, info: StreamInfo) => void;

export function compileQuery(steps: readonly QueryStep[]): QueryChanges {
  const changes = steps.map(compileStep);
  return (path, info) => {
    const mark = path.indexOf('?');
    const parameters = mark < 0 ? new Map<string, string[]>() : parse(path.slice(mark + 1));
    for (const change of changes) change(parameters, info);
    const bare = mark < 0 ? path : path.slice(0, mark);
    return parameters.size === 0 ? bare : `${bare}?${written(parameters)}`;
  };
}

function compileStep(step: QueryStep): Change {
  const name = latin1(step.name);
  if (step.kind === 'remove') {
    return (parameters) => {
      parameters.delete(name);
    };
  }
  const { action, value } = step;
  const prefix = `${encode(name)}=`;
  const format = value.includes('%') ? compileValue(value) : undefined;
  const constant = prefix + encode(latin1(value));
  return (parameters, info) => {
    const there = parameters.get(name);
    if (there === undefined ? action === 'overwrite-if-exists' : action === 'add-if-absent') return;
    const made = format === undefined ? constant : prefix + encode(format(info));
    if (there !== undefined && action === 'append-or-add') there.push(made);
    else parameters.set(name, [made]);
  };
}

function parse(query: string): Parameters {
  const parameters: Parameters = new Map();
  const pieces = query.split('&');
  // What follows the last `&` is a parameter only if there is something.
  if (pieces.at(-1) === '') pieces.pop();
  for (const piece of pieces) {
    const equals = piece.indexOf('=');
    const name = decode(equals < 0 ? piece : piece.slice(0, equals));
    const text = equals < 0 ? `${piece}=` : piece;
    const there = parameters.get(name);
    if (there === undefined) parameters.set(name, [text]);
    else there.push(text);
  }
  return parameters;
}

function written(parameters: Parameters): string {
  return [...parameters]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, texts]) => texts)
    .join('&');
}

/** Fields and paths are bytes, one a character. */
function decode(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** RFC 3986 §2.1: everything but unreserved characters. */
function encode(text: string): string {
  return text.replace(/[^A-Za-z0-9\-._~]/gu, (character) => {
    const bytes = character > '\xff' ? Buffer.from(character) : Buffer.from(character, 'latin1');
    let made = '';
    for (const byte of bytes) made += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    return made;
  });
}
