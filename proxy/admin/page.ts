/** What a page is: a path, its words for `/help`, and a function from the request's parameters to an answer. */
import { RE2JS } from 're2js';
import type { Json } from '../../xds-client/model/common.ts';

export interface Answer {
  readonly status: number;
  readonly type: string;
  /** Written piece by piece, as the client reads. */
  readonly body: string | Iterable<string>;
  /** Runs when the answer is written or the client is gone. */
  readonly afterwards?: () => void;
}

export interface Page {
  /** `/clusters`. */
  readonly path: string;
  readonly help: string;
  readonly parameters?: readonly (readonly [name: string, help: string])[];
  /** Changes something: POST only. */
  readonly mutates?: boolean;
  readonly answer: (parameters: URLSearchParams) => Answer;
}

export const TEXT = 'text/plain; charset=UTF-8';
export const HTML = 'text/html; charset=UTF-8';
export const JSON_TYPE = 'application/json';

export function text(body: string | Iterable<string>, status = 200): Answer {
  return { status, type: TEXT, body };
}

/** JSON as Envoy's admin pages indent it. */
export function json(value: Json | object): Answer {
  return { status: 200, type: JSON_TYPE, body: `${JSON.stringify(value, undefined, 1)}\n` };
}

export const OK = text('OK\n');

/** A test by an RE2 expression, found anywhere in the name; `undefined` without one. */
export function nameFilter(
  expression: string | null,
): ((name: string) => boolean) | undefined | { readonly error: string } {
  if (expression === null || expression === '') return undefined;
  // Words and dots need no automaton, and a scrape filters hundreds of thousands of names.
  if (/^[\w.]+$/.test(expression)) {
    const plain = new RegExp(expression);
    return (name) => plain.test(name);
  }
  try {
    const compiled = RE2JS.compile(expression);
    return (name) => compiled.matcher(name).find();
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message.replace(/^error parsing regexp: /, '') : String(thrown);
    return { error: reason };
  }
}

/** A switch is on when it is there: `?usedonly`, `?usedonly=true`. */
export function flag(parameters: URLSearchParams, name: string): boolean {
  const value = parameters.get(name);
  return value !== null && value !== 'false' && value !== '0';
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
