/**
 * Header changes of weighted cluster, route, virtual host and route configuration, in Envoy's order: the most specific
 * first, so that the least specific has the last word. `most_specific_header_mutations_wins` turns the order of route,
 * virtual host and configuration round; a weighted cluster goes first even then. Of each level, what is removed goes
 * first, then what overwrites, then what is added.
 */
import type { HeaderChanges, HeaderToAdd } from '../../xds-client/model/common.ts';
import type { WeightedCluster } from '../../xds-client/model/route.ts';
import type { HeaderMap } from '../http/headers.ts';
import type { RouteDecision } from './table.ts';

/** Expands a value with command operators for one request; `''` when an operator has nothing to say. */
export type Formatter<C> = (context: C) => string;

/** Makes a `Formatter` of a value that holds `%`. */
export type FormatCompiler<C> = (value: string) => Formatter<C>;

interface Addition<C> {
  readonly name: string;
  readonly constant: string;
  readonly format: Formatter<C> | undefined;
  readonly action: HeaderToAdd['action'];
  readonly overwrites: boolean;
  readonly keepEmpty: boolean;
}

/** One level's changes to one direction, compiled. */
export class HeaderMutation<C> {
  private readonly remove: readonly string[];
  private readonly additions: readonly Addition<C>[];
  /** Parallel to `additions`, filled by each `apply`: nothing is allocated for it. */
  private readonly values: (string | undefined)[];

  constructor(remove: readonly string[], add: readonly HeaderToAdd[], compile: FormatCompiler<C>) {
    this.remove = remove;
    this.additions = add.map(({ name, value, action, keepEmptyValue }) => ({
      name: name.toLowerCase(),
      constant: latin1(value),
      format: value.includes('%') ? compile(value) : undefined,
      action,
      overwrites: action === 'overwrite-or-add' || action === 'overwrite-if-exists',
      keepEmpty: keepEmptyValue,
    }));
    this.values = new Array(add.length).fill(undefined);
  }

  get empty(): boolean {
    return this.remove.length === 0 && this.additions.length === 0;
  }

  apply(headers: HeaderMap, context: C): void {
    for (const name of this.remove) headers.remove(name);
    const { additions, values } = this;
    const count = additions.length;
    // Every value and condition sees the fields as they came: no addition of a level sees another one.
    for (let i = 0; i < count; i++) values[i] = written(additions[i] as Addition<C>, headers, context);
    let appends = false;
    for (let i = 0; i < count; i++) {
      const { name, overwrites } = additions[i] as Addition<C>;
      const value = values[i];
      if (!overwrites) appends = true;
      else if (value !== undefined) headers.set(name, value);
    }
    if (!appends) return;
    for (let i = 0; i < count; i++) {
      const { name, overwrites } = additions[i] as Addition<C>;
      const value = values[i];
      if (!overwrites && value !== undefined) headers.add(name, value);
    }
  }
}

/** What an addition writes; `undefined`: nothing. */
function written<C>(addition: Addition<C>, headers: HeaderMap, context: C): string | undefined {
  const { action, name, format } = addition;
  if (action === 'overwrite-if-exists' && !headers.has(name)) return undefined;
  if (action === 'add-if-absent' && headers.has(name)) return undefined;
  const value = format === undefined ? addition.constant : format(context);
  return value !== '' || addition.keepEmpty ? value : undefined;
}

/** Fields are bytes, one a character: what configuration wrote in UTF-8 goes out in UTF-8. */
export function latin1(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) return String.fromCharCode(...new TextEncoder().encode(text));
  }
  return text;
}

/** The changes of a matched route's levels, in the order in which they apply. */
export function headerLevels(decision: RouteDecision, weighted: WeightedCluster | undefined): readonly HeaderChanges[] {
  const { config, virtualHost, route } = decision;
  const levels = [route.headers, virtualHost.headers, config.headers];
  if (config.mostSpecificHeaderMutationsWins) levels.reverse();
  return weighted === undefined ? levels : [weighted.headers, ...levels];
}
