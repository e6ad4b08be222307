import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../proxy/listener/addresses.ts';
import { compileChainMatch, type MatchInput, needsTlsInspector } from '../../proxy/listener/filter-chain-match.ts';
import type { CidrRange } from '../../xds-client/model/common.ts';
import type { FilterChainMatch } from '../../xds-client/model/listener.ts';

const ANY: FilterChainMatch = {
  destinationPort: undefined,
  prefixRanges: [],
  serverNames: [],
  transportProtocol: undefined,
  applicationProtocols: [],
  directSourcePrefixRanges: [],
  sourceType: 'any',
  sourcePrefixRanges: [],
  sourcePorts: [],
};

interface Input {
  readonly destination: string;
  readonly destinationPort: number;
  readonly serverName: string;
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
  readonly source: string;
  readonly sourcePort: number;
}

function matchInput(input: Input): MatchInput {
  return {
    ...input,
    destination: parseIp(input.destination),
    directSource: parseIp(input.source),
    source: parseIp(input.source),
  };
}

/** How well one property of a chain fits: 0 it does not ask, `undefined` it does not fit, more is more specific. */
type Score = (match: FilterChainMatch, input: Input) => number | undefined;

function best(scores: (number | undefined)[], asked: boolean): number | undefined {
  if (!asked) return 0;
  const fitting = scores.filter((score) => score !== undefined);
  return fitting.length === 0 ? undefined : Math.max(...fitting);
}

function holds(range: CidrRange, address: string): boolean {
  const [network, ip] = [parseIp(range.address), parseIp(address)];
  if (network === undefined || ip === undefined || network.family !== ip.family) return false;
  const bits = (value: bigint) => value.toString(2).padStart(network.family === 4 ? 32 : 128, '0');
  return bits(network.value).slice(0, range.prefixLength) === bits(ip.value).slice(0, range.prefixLength);
}

const ranges = (of: (match: FilterChainMatch) => readonly CidrRange[], address: (input: Input) => string): Score => {
  return (match, input) =>
    best(
      of(match).map((range) => (holds(range, address(input)) ? range.prefixLength + 1 : undefined)),
      of(match).length > 0,
    );
};

const STEPS: Score[] = [
  (m, i) => best([m.destinationPort === i.destinationPort ? 1 : undefined], m.destinationPort !== undefined),
  ranges(
    (m) => m.prefixRanges,
    (i) => i.destination,
  ),
  (m, i) =>
    best(
      m.serverNames.map((name) => {
        if (name === i.serverName) return 1000;
        return name.startsWith('*.') && i.serverName.endsWith(name.slice(1)) && i.serverName.length >= name.length
          ? name.length
          : undefined;
      }),
      m.serverNames.length > 0,
    ),
  (m, i) => best([m.transportProtocol === i.transportProtocol ? 1 : undefined], m.transportProtocol !== undefined),
  (m, i) =>
    best(
      m.applicationProtocols.map((protocol) => {
        const at = i.applicationProtocols.indexOf(protocol);
        return at < 0 ? undefined : 100 - at;
      }),
      m.applicationProtocols.length > 0,
    ),
  ranges(
    (m) => m.directSourcePrefixRanges,
    (i) => i.source,
  ),
  (m, i) => {
    const local = i.source === i.destination || i.source.startsWith('127.') || i.source === '::1';
    return best([(m.sourceType === 'same-ip-or-loopback') === local ? 1 : undefined], m.sourceType !== 'any');
  },
  ranges(
    (m) => m.sourcePrefixRanges,
    (i) => i.source,
  ),
  (m, i) => best([m.sourcePorts.includes(i.sourcePort) ? 1 : undefined], m.sourcePorts.length > 0),
];

/** Envoy's rule, naively: at each step keep the chains that fit best, and look no further back. */
function oracle(chains: readonly FilterChainMatch[], input: Input): number | undefined {
  let left = chains.map((match, index) => ({ match, index }));
  for (const score of STEPS) {
    const scored = left.map((one) => ({ one, score: score(one.match, input) }));
    const top = Math.max(-1, ...scored.map((s) => s.score ?? -1));
    left = scored.filter((s) => s.score === top).map((s) => s.one);
  }
  return left[0]?.index;
}

const some = <Value>(values: readonly Value[]) => fc.subarray([...values], { maxLength: 2 });
const CIDRS: CidrRange[] = [
  { address: '10.0.0.0', prefixLength: 8 },
  { address: '10.1.0.0', prefixLength: 16 },
  { address: '10.1.2.3', prefixLength: 32 },
  { address: '0.0.0.0', prefixLength: 0 },
  { address: '127.0.0.0', prefixLength: 8 },
  { address: '2001:db8::', prefixLength: 32 },
  { address: '::', prefixLength: 0 },
];
const ADDRESSES = ['10.1.2.3', '10.1.9.9', '10.9.9.9', '192.168.0.1', '127.0.0.1', '::1', '2001:db8::5'];
const chainMatch: fc.Arbitrary<FilterChainMatch> = fc.record({
  destinationPort: fc.option(fc.constantFrom(80, 443), { nil: undefined }),
  prefixRanges: some(CIDRS),
  serverNames: some(['a.pay.example', '*.pay.example', '*.example', 'b.example']),
  transportProtocol: fc.option(fc.constantFrom('tls', 'raw_buffer'), { nil: undefined }),
  applicationProtocols: some(['h2', 'http/1.1', 'istio']),
  directSourcePrefixRanges: fc.oneof(fc.constant([]), some(CIDRS)),
  sourceType: fc.constantFrom('any', 'same-ip-or-loopback', 'external'),
  sourcePrefixRanges: fc.oneof(fc.constant([]), some(CIDRS)),
  sourcePorts: some([1000, 2000]),
});
const inputs: fc.Arbitrary<Input> = fc.record({
  destination: fc.constantFrom(...ADDRESSES),
  destinationPort: fc.constantFrom(80, 443, 8080),
  serverName: fc.constantFrom('', 'a.pay.example', 'x.pay.example', 'x.y.pay.example', 'b.example', 'other'),
  transportProtocol: fc.constantFrom('tls', 'raw_buffer'),
  applicationProtocols: fc.shuffledSubarray(['h2', 'http/1.1', 'foo']),
  source: fc.constantFrom(...ADDRESSES),
  sourcePort: fc.constantFrom(1000, 2000, 3000),
});

function compile(matches: readonly FilterChainMatch[]) {
  return compileChainMatch(matches.map((match, chain) => ({ match, chain, name: `chain ${chain}` })));
}

test('the compiled matcher agrees with the rule taken literally', () => {
  let found = 0;
  fc.assert(
    fc.property(
      fc.array(chainMatch, { maxLength: 6 }),
      fc.array(inputs, { minLength: 1, maxLength: 8 }),
      (chains, many) => {
        let matcher: ReturnType<typeof compile>;
        try {
          matcher = compile(chains);
        } catch {
          return;
        }
        for (const input of many) {
          const expected = oracle(chains, input);
          if (expected !== undefined) found++;
          assert.equal(matcher.find(matchInput(input)), expected);
        }
      },
    ),
    { seed: 4, numRuns: 3000 },
  );
  assert.ok(found > 300, `only ${found} inputs matched`);
});

test('a value that was taken is not given back when a later step finds nothing', () => {
  const matcher = compile([
    { ...ANY, destinationPort: 80, transportProtocol: 'tls' },
    { ...ANY, transportProtocol: 'raw_buffer' },
  ]);
  const input = matchInput({
    destination: '10.0.0.1',
    destinationPort: 80,
    serverName: '',
    transportProtocol: 'raw_buffer',
    applicationProtocols: [],
    source: '10.0.0.2',
    sourcePort: 1,
  });
  assert.equal(matcher.find(input), undefined);
  assert.equal(matcher.find({ ...input, destinationPort: 81 }), 1);
});

test('two chains with the same rules are refused by name', () => {
  assert.throws(() => compile([ANY, { ...ANY }]), /filter chains "chain 0" and "chain 1" have the same match/);
});

test('pipes match chains without addresses, and are local', () => {
  const matcher = compile([
    { ...ANY, prefixRanges: CIDRS, sourceType: 'same-ip-or-loopback' },
    { ...ANY, sourceType: 'same-ip-or-loopback' },
  ]);
  const pipe = { destination: undefined, destinationPort: 0, serverName: '', transportProtocol: 'raw_buffer' };
  assert.equal(
    matcher.find({ ...pipe, applicationProtocols: [], directSource: undefined, source: undefined, sourcePort: 0 }),
    1,
  );
});

test('a TLS inspector is needed for names, protocols and tls, not for plaintext chains', () => {
  assert.ok(needsTlsInspector([ANY, { ...ANY, transportProtocol: 'tls' }]));
  assert.ok(needsTlsInspector([{ ...ANY, serverNames: ['a'] }]));
  assert.ok(needsTlsInspector([{ ...ANY, applicationProtocols: ['istio'] }]));
  assert.ok(!needsTlsInspector([{ ...ANY, transportProtocol: 'raw_buffer', applicationProtocols: ['h2c'] }, ANY]));
});

test('addresses are read in all their forms', () => {
  assert.deepEqual(parseIp('::ffff:10.0.0.1'), { family: 4, value: 0x0a000001n });
  assert.deepEqual(parseIp('::1'), { family: 6, value: 1n });
  assert.deepEqual(parseIp('64:ff9b::10.0.0.1')?.value, (0x64n << 112n) | (0xff9bn << 96n) | 0x0a000001n);
  assert.deepEqual(parseIp('fe80::1%eth0')?.value, (0xfe80n << 112n) | 1n);
  assert.equal(parseIp('/run/x.sock'), undefined);
});
