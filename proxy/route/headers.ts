/**
 * Header changes of weighted cluster, route, virtual host and route configuration, in Envoy's order: the most specific
 * first, so that the least specific has the last word, unless `most_specific_header_mutations_wins` turns it round. Of each
 * level, what is removed goes first, then what overwrites, then what is added.
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
  readonly keepEmpty: boolean;
}

/** One level's changes to one direction, compiled. */
export class HeaderMutation<C> {
  private readonly remove: readonly string[];
  private readonly additions: readonly Addition<C>[];

  constructor(remove: readonly string[], add: readonly HeaderToAdd[], compile: FormatCompiler<C>) {
    this.remove = remove;
    this.additions = add.map(({ name, value, action, keepEmptyValue }) => ({
      name: name.toLowerCase(),
      constant: latin1(value),
      format: value.includes('%') ? compile(value) : undefined,
      action,
      keepEmpty: keepEmptyValue,
    }));
  }

  get empty(): boolean {
    return this.remove.length === 0 && this.additions.length === 0;
  }

  apply(headers: HeaderMap, context: C): void {
    for (const name of this.remove) headers.remove(name);
    const { additions } = this;
    if (additions.length === 0) return;
    let appends = false;
    for (const addition of additions) {
      const { action, name } = addition;
      if (action === 'overwrite-or-add' || (action === 'overwrite-if-exists' && headers.has(name))) {
        const value = expanded(addition, context);
        if (value !== '' || addition.keepEmpty) headers.set(name, value);
      } else if (action !== 'overwrite-if-exists') appends = true;
    }
    if (!appends) return;
    for (const addition of additions) {
      const { action, name } = addition;
      if (action === 'append-or-add' || (action === 'add-if-absent' && !headers.has(name))) {
        const value = expanded(addition, context);
        if (value !== '' || addition.keepEmpty) headers.add(name, value);
      }
    }
  }
}

function expanded<C>(addition: Addition<C>, context: C): string {
  return addition.format === undefined ? addition.constant : addition.format(context);
}

/** Fields are bytes, one a character: what configuration wrote in UTF-8 goes out in UTF-8. */
function latin1(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) return String.fromCharCode(...new TextEncoder().encode(text));
  }
  return text;
}

/** The changes of a matched route's levels, in the order in which they apply. */
export function headerLevels(decision: RouteDecision, weighted: WeightedCluster | undefined): readonly HeaderChanges[] {
  const { config, virtualHost, route } = decision;
  const levels = [route.headers, virtualHost.headers, config.headers];
  if (weighted !== undefined) levels.unshift(weighted.headers);
  return config.mostSpecificHeaderMutationsWins ? levels.reverse() : levels;
}
