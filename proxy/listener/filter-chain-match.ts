/**
 * Which filter chain serves a connection: Envoy's order of properties, most specific value first at each step. Once a
 * step has taken a value, chains of other values are out, even when a later step finds nothing. Compiled to nested
 * tables once a listener, pure.
 */
import type { CidrRange } from '../../xds-client/model/common.ts';
import type { FilterChainMatch } from '../../xds-client/model/listener.ts';
import { ProxyError } from '../errors.ts';
import { type IpNumber, isLoopback, PrefixTable } from './addresses.ts';

/** What is known of a connection. Addresses are `undefined` for pipes: they match chains without ranges. */
export interface MatchInput {
  readonly destination: IpNumber | undefined;
  readonly destinationPort: number;
  /** Lower case; empty when none was sent. */
  readonly serverName: string;
  /** `tls` or `raw_buffer`. */
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
  /** Of the socket. */
  readonly directSource: IpNumber | undefined;
  /** Of the caller, which PROXY protocol may have told. */
  readonly source: IpNumber | undefined;
  readonly sourcePort: number;
}

export interface ChainMatcher<Chain> {
  /** `undefined`: no chain matches, the default one serves when there is one. */
  find(input: MatchInput): Chain | undefined;
}

/** Takes a step on: the table below, or the chain at the end. */
type Step<Chain> = (input: MatchInput) => Chain | undefined;

interface Entry<Chain> {
  readonly match: FilterChainMatch;
  readonly chain: Chain;
  readonly name: string;
}

type Compile<Chain> = (entries: readonly Entry<Chain>[]) => Step<Chain>;

/** Throws `filter-chain-duplicate` when two chains have the same rules, as Envoy refuses such a listener. */
export function compileChainMatch<Chain>(
  chains: readonly { readonly match: FilterChainMatch; readonly chain: Chain; readonly name: string }[],
): ChainMatcher<Chain> {
  return { find: byPort(chains) };
}

function byPort<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  const { exact, any } = group(
    entries,
    (match) => (match.destinationPort === undefined ? [] : [match.destinationPort]),
    byDestination,
  );
  return (input) => (exact.get(input.destinationPort) ?? any)?.(input);
}

function byDestination<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  return byRange(
    entries,
    (match) => match.prefixRanges,
    (input) => input.destination,
    byServerName,
  );
}

function byServerName<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  // `*.example.com` is kept as `.example.com`: one table serves both kinds
  const { exact, any } = group(
    entries,
    (match) => match.serverNames.map((name) => (name.startsWith('*.') ? name.slice(1) : name).toLowerCase()),
    byTransport,
  );
  if (exact.size === 0) return (input) => any?.(input);
  return (input) => {
    const name = input.serverName;
    let step = name === '' ? undefined : exact.get(name);
    for (let dot = name.indexOf('.', 1); step === undefined && dot > 0; dot = name.indexOf('.', dot + 1)) {
      step = exact.get(name.slice(dot));
    }
    return (step ?? any)?.(input);
  };
}

function byTransport<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  const { exact, any } = group(
    entries,
    (match) =>
      match.transportProtocol === undefined || match.transportProtocol === '' ? [] : [match.transportProtocol],
    byApplication,
  );
  return (input) => (exact.get(input.transportProtocol) ?? any)?.(input);
}

function byApplication<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  const { exact, any } = group(entries, (match) => match.applicationProtocols, byDirectSource);
  if (exact.size === 0) return (input) => any?.(input);
  return (input) => {
    for (const protocol of input.applicationProtocols) {
      const step = exact.get(protocol);
      if (step !== undefined) return step(input);
    }
    return any?.(input);
  };
}

function byDirectSource<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  return byRange(
    entries,
    (match) => match.directSourcePrefixRanges,
    (input) => input.directSource,
    bySourceType,
  );
}

function bySourceType<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  const { exact, any } = group(entries, (match) => (match.sourceType === 'any' ? [] : [match.sourceType]), bySource);
  if (exact.size === 0) return (input) => any?.(input);
  return (input) => (exact.get(isLocal(input) ? 'same-ip-or-loopback' : 'external') ?? any)?.(input);
}

function bySource<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  return byRange(
    entries,
    (match) => match.sourcePrefixRanges,
    (input) => input.source,
    bySourcePort,
  );
}

function bySourcePort<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  const { exact, any } = group(entries, (match) => match.sourcePorts, only);
  return (input) => (exact.get(input.sourcePort) ?? any)?.(input);
}

function only<Chain>(entries: readonly Entry<Chain>[]): Step<Chain> {
  const [first, second] = entries;
  if (second !== undefined) {
    throw new ProxyError(
      'filter-chain-duplicate',
      `filter chains "${first?.name}" and "${second.name}" have the same match: one would never serve`,
    );
  }
  return () => first?.chain;
}

function isLocal(input: MatchInput): boolean {
  const { source, destination } = input;
  // a pipe is local by nature
  if (source === undefined || destination === undefined) return true;
  return isLoopback(source) || (source.family === destination.family && source.value === destination.value);
}

/** Sorts the entries by a property's values; `any` are those that do not name it. */
function group<Chain, Key>(
  entries: readonly Entry<Chain>[],
  keysOf: (match: FilterChainMatch) => readonly Key[],
  next: Compile<Chain>,
): { readonly exact: ReadonlyMap<Key, Step<Chain>>; readonly any: Step<Chain> | undefined } {
  const named = new Map<Key, Entry<Chain>[]>();
  const rest: Entry<Chain>[] = [];
  for (const entry of entries) {
    const keys = keysOf(entry.match);
    if (keys.length === 0) rest.push(entry);
    for (const key of new Set(keys)) {
      const list = named.get(key);
      if (list === undefined) named.set(key, [entry]);
      else list.push(entry);
    }
  }
  const exact = new Map<Key, Step<Chain>>();
  for (const [key, list] of named) exact.set(key, next(list));
  return { exact, any: rest.length === 0 ? undefined : next(rest) };
}

function byRange<Chain>(
  entries: readonly Entry<Chain>[],
  rangesOf: (match: FilterChainMatch) => readonly CidrRange[],
  addressOf: (input: MatchInput) => IpNumber | undefined,
  next: Compile<Chain>,
): Step<Chain> {
  const table = new PrefixTable<{ entries: Set<Entry<Chain>>; step: Step<Chain> | undefined }>();
  const cells: { entries: Set<Entry<Chain>>; step: Step<Chain> | undefined }[] = [];
  const rest: Entry<Chain>[] = [];
  for (const entry of entries) {
    const ranges = rangesOf(entry.match);
    if (ranges.length === 0) rest.push(entry);
    for (const range of ranges) {
      const cell = table.at(range, () => {
        const made = { entries: new Set<Entry<Chain>>(), step: undefined };
        cells.push(made);
        return made;
      });
      cell.entries.add(entry);
    }
  }
  for (const cell of cells) cell.step = next([...cell.entries]);
  const any = rest.length === 0 ? undefined : next(rest);
  if (table.empty) return (input) => any?.(input);
  return (input) => {
    const address = addressOf(input);
    const step = address === undefined ? undefined : table.find(address)?.step;
    return (step ?? any)?.(input);
  };
}

/** Envoy puts a TLS inspector before chains that need one, whether it is configured or not. */
export function needsTlsInspector(matches: readonly FilterChainMatch[]): boolean {
  return matches.some((match) => {
    const transport = match.transportProtocol ?? '';
    if (transport === 'tls') return true;
    return transport === '' && match.serverNames.length + match.applicationProtocols.length > 0;
  });
}
