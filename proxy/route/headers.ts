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

interface Levels<C> {
  readonly request: readonly HeaderMutation<C>[];
  readonly response: readonly HeaderMutation<C>[];
}

/**
 * Header changes for the routes of one listener. Levels are compiled once for each object of the model: a virtual host's
 * are shared by its routes.
 */
export class RouteHeaders<C> {
  private readonly compile: FormatCompiler<C>;
  private readonly byChanges = new WeakMap<HeaderChanges, Levels<C>>();
  private readonly byRoute = new WeakMap<RouteDecision, Levels<C>>();
  private readonly byCluster = new WeakMap<RouteDecision, WeakMap<WeightedCluster, Levels<C>>>();

  constructor(compile: FormatCompiler<C>) {
    this.compile = compile;
  }

  applyToRequest(decision: RouteDecision, weighted: WeightedCluster | undefined, headers: HeaderMap, context: C): void {
    for (const mutation of this.levels(decision, weighted).request) mutation.apply(headers, context);
  }

  applyToResponse(
    decision: RouteDecision,
    weighted: WeightedCluster | undefined,
    headers: HeaderMap,
    context: C,
  ): void {
    for (const mutation of this.levels(decision, weighted).response) mutation.apply(headers, context);
  }

  private levels(decision: RouteDecision, weighted: WeightedCluster | undefined): Levels<C> {
    let cache: WeakMap<object, Levels<C>> = this.byRoute;
    let key: object = decision;
    if (weighted !== undefined) {
      let clusters = this.byCluster.get(decision);
      if (clusters === undefined) {
        clusters = new WeakMap();
        this.byCluster.set(decision, clusters);
      }
      cache = clusters;
      key = weighted;
    }
    let levels = cache.get(key);
    if (levels === undefined) {
      levels = this.combine(decision, weighted);
      cache.set(key, levels);
    }
    return levels;
  }

  private combine(decision: RouteDecision, weighted: WeightedCluster | undefined): Levels<C> {
    const { config, virtualHost, route } = decision;
    const changes = [weighted?.headers, route.headers, virtualHost.headers, config.headers];
    if (config.mostSpecificHeaderMutationsWins) changes.reverse();
    const request: HeaderMutation<C>[] = [];
    const response: HeaderMutation<C>[] = [];
    for (const change of changes) {
      if (change === undefined) continue;
      const level = this.levelOf(change);
      request.push(...level.request);
      response.push(...level.response);
    }
    return { request, response };
  }

  private levelOf(changes: HeaderChanges): Levels<C> {
    let level = this.byChanges.get(changes);
    if (level === undefined) {
      const request = new HeaderMutation(changes.requestRemove, changes.requestAdd, this.compile);
      const response = new HeaderMutation(changes.responseRemove, changes.responseAdd, this.compile);
      level = { request: request.empty ? [] : [request], response: response.empty ? [] : [response] };
      this.byChanges.set(changes, level);
    }
    return level;
  }
}
