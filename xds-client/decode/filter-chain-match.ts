/** envoy FilterChainMatch, and that no two chains of a listener match the same connections. */
import type { MessageObject } from '../../protos/index.ts';
import type { FilterChain, FilterChainMatch } from '../model/listener.ts';
import { decodeCidrs } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { numbers, textOrNone, texts, word, wrappedNumber } from './fields.ts';

const UNUSED = 'Envoy does not match on it either';

support('envoy.config.listener.v3.FilterChainMatch', {
  acts: [
    'destination_port',
    'prefix_ranges',
    'direct_source_prefix_ranges',
    'source_type',
    'source_prefix_ranges',
    'source_ports',
    'server_names',
    'transport_protocol',
    'application_protocols',
  ],
  refused: { address_suffix: UNUSED, suffix_len: UNUSED },
});

const SOURCE_TYPES: { readonly [type: string]: FilterChainMatch['sourceType'] } = {
  ANY: 'any',
  SAME_IP_OR_LOOPBACK: 'same-ip-or-loopback',
  EXTERNAL: 'external',
};

function decodeServerName(name: string, ctx: DecodeContext): string {
  const rest = name.startsWith('*.') ? name.slice(2) : name;
  if (rest.includes('*')) {
    ctx.error(`partial wildcards are not supported in "server_names": ${name}`, 'server_names');
  }
  return name.toLowerCase();
}

export function decodeFilterChainMatch(match: MessageObject | undefined, ctx: DecodeContext): FilterChainMatch {
  return {
    destinationPort: wrappedNumber(match, 'destination_port'),
    prefixRanges: decodeCidrs(match, 'prefix_ranges', ctx),
    serverNames: texts(match, 'server_names').map((name) => decodeServerName(name, ctx)),
    transportProtocol: textOrNone(match, 'transport_protocol'),
    applicationProtocols: texts(match, 'application_protocols'),
    directSourcePrefixRanges: decodeCidrs(match, 'direct_source_prefix_ranges', ctx),
    sourceType: SOURCE_TYPES[word(match, 'source_type', 'ANY')] ?? 'any',
    sourcePrefixRanges: decodeCidrs(match, 'source_prefix_ranges', ctx),
    sourcePorts: numbers(match, 'source_ports'),
  };
}

/** What is empty matches all of it, so it stands for one value of its own. */
function orAny<T>(values: readonly T[]): readonly (T | '')[] {
  return values.length === 0 ? [''] : values;
}

/** A chain with long lists in every criterion could ask for billions of combinations. */
const MAX_COMBINATIONS = 10_000;

/** Every combination of the match's values; two chains that share one are ambiguous. */
function* combinations(match: FilterChainMatch): Generator<string> {
  const range = (ranges: FilterChainMatch['prefixRanges']) =>
    orAny(ranges.map(({ address, prefixLength }) => `${address}/${prefixLength}`));
  const lists = [
    [match.destinationPort ?? ''],
    range(match.prefixRanges),
    orAny(match.serverNames),
    [match.transportProtocol ?? ''],
    orAny(match.applicationProtocols),
    range(match.directSourcePrefixRanges),
    [match.sourceType],
    range(match.sourcePrefixRanges),
    orAny(match.sourcePorts),
  ];
  const total = Math.min(
    lists.reduce((product, list) => product * list.length, 1),
    MAX_COMBINATIONS,
  );
  for (let index = 0; index < total; index++) {
    let rest = index;
    const chosen: unknown[] = [];
    for (const list of lists) {
      chosen.push(list[rest % list.length]);
      rest = Math.floor(rest / list.length);
    }
    yield chosen.join('\u0001');
  }
}

/** Notes chains whose matching rules overlap with those of an earlier one. */
export function checkMatches(chains: readonly FilterChain[], ctx: DecodeContext): void {
  const owners = new Map<string, number>();
  for (const [index, chain] of chains.entries()) {
    for (const key of combinations(chain.match)) {
      const owner = owners.get(key);
      if (owner !== undefined) {
        const message = `filter chain '${chain.name}' has the same matching rules defined as '${chains[owner]?.name}'`;
        ctx.at('filter_chains', () => ctx.at(index, () => ctx.error(message, 'filter_chain_match')));
        break;
      }
      owners.set(key, index);
    }
  }
}
