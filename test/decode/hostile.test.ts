/** Resources that are messages of their type and say what nobody would: no decoder throws, hangs or lets it through. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { type Any, decodeMessage, encodeMessage, type MessageObject } from '../../protos/index.ts';
import { decodeChecks } from '../../proxy/decode-checks.ts';
import type { FieldError } from '../../xds-client/decode/context.ts';
import { decodeResourceOf, isResourceMessage } from '../../xds-client/decode/index.ts';
import {
  CLUSTER,
  ENDPOINTS,
  hcm,
  LISTENER,
  listener,
  packed,
  ROUTES,
  routed,
  SECRET,
  staticCluster,
} from './decoding.ts';

const CHECKS = decodeChecks(() => true);
/** Far above what any of these takes, far below a control plane's patience. */
const PATIENCE_MS = 5_000;

function recorded(api: string): readonly unknown[] {
  const file = new URL(`../fixtures/istiod/129-min-payment/${api}.json`, import.meta.url);
  return Object.values(JSON.parse(readFileSync(file, 'utf8')));
}

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const leaf = ca.issue({ spiffeId: 'spiffe://td/ns/pay/sa/payment', ttlMs: 600_000 });

const RICH_ROUTE = {
  match: {
    safe_regex: { regex: '/pay/.*' },
    headers: [{ name: 'x', string_match: { safe_regex: { regex: 'a+' } } }],
    query_parameters: [{ name: 'q', string_match: { exact: 'v' } }],
    runtime_fraction: { default_value: { numerator: 5, denominator: 'MILLION' } },
  },
  route: {
    cluster: 'a',
    timeout: '1.5s',
    idle_timeout: '3s',
    retry_policy: {
      retry_on: '5xx,connect-failure',
      num_retries: 3,
      per_try_timeout: '0.2s',
      retriable_status_codes: [503],
      retry_back_off: { base_interval: '0.1s', max_interval: '1s' },
    },
    hash_policy: [{ cookie: { name: 'c', ttl: '60s', path: '/' } }],
    regex_rewrite: { pattern: { regex: '^/a' }, substitution: '/b' },
  },
  request_headers_to_add: [{ header: { key: 'x-a', value: '%DOWNSTREAM_REMOTE_ADDRESS%' } }],
};

const SAMPLES: readonly Any[] = [
  packed(LISTENER, listener([hcm({ stream_idle_timeout: '5s', request_timeout: '1s' })])),
  packed(
    LISTENER,
    listener(
      [hcm()],
      { listener_filters_timeout: '2s' },
      {
        filter_chain_match: {
          prefix_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }],
          source_prefix_ranges: [{ address_prefix: 'fd00::', prefix_len: 8 }],
          server_names: ['a.example'],
        },
      },
    ),
  ),
  ...recorded('LDS').map((json) => packed(LISTENER, json)),
  ...recorded('CDS').map((json) => packed(CLUSTER, json)),
  packed(
    CLUSTER,
    staticCluster({
      connect_timeout: '1s',
      lb_policy: 'LEAST_REQUEST',
      least_request_lb_config: { active_request_bias: { default_value: 1.5, runtime_key: 'k' } },
      common_lb_config: { healthy_panic_threshold: { value: 40 } },
      circuit_breakers: { thresholds: [{ max_requests: 5, retry_budget: { budget_percent: { value: 25 } } }] },
    }),
  ),
  ...recorded('RDS').map((json) => packed(ROUTES, json)),
  packed(ROUTES, routed(RICH_ROUTE)),
  packed(ENDPOINTS, {
    cluster_name: 'a',
    endpoints: [
      {
        locality: { region: 'r', zone: 'z' },
        priority: 1,
        load_balancing_weight: 3,
        lb_endpoints: [
          {
            endpoint: { address: { socket_address: { address: '10.0.0.1', port_value: 80 } } },
            load_balancing_weight: 2,
            metadata: { filter_metadata: { 'envoy.lb': { canary: true, list: [1, { a: 'b' }] } } },
          },
        ],
      },
    ],
    policy: { overprovisioning_factor: 140, endpoint_stale_after: '5s' },
  }),
  packed(SECRET, {
    name: 's',
    tls_certificate: { certificate_chain: { inline_string: leaf.chain }, private_key: { inline_string: leaf.key } },
  }),
  packed(SECRET, {
    name: 'r',
    validation_context: {
      trusted_ca: { inline_string: ca.rootPem },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://td/' } }],
      verify_certificate_hash: ['ab'.repeat(32)],
    },
  }),
];

/** Decodes in time, to a model that survives the way to the workers, or to errors that name their places. */
function decodes(any: Any): readonly FieldError[] {
  const type = any.type_url.slice(any.type_url.lastIndexOf('/') + 1);
  assert.ok(isResourceMessage(type));
  const start = performance.now();
  const decoded = decodeResourceOf(type, any, CHECKS);
  const took = performance.now() - start;
  assert.ok(took < PATIENCE_MS, `${type} took ${took} ms`);
  if (decoded.ok) {
    unharmed(decoded.value, type);
    return [];
  }
  assert.ok(decoded.errors.length > 0, 'refused without saying why');
  for (const { message } of decoded.errors) {
    // what a decoder that has thrown leaves behind
    assert.doesNotMatch(message, /^cannot be decoded/);
    assert.ok(message.length > 0);
  }
  return decoded.errors;
}

function unharmed(value: unknown, path: string): void {
  if (typeof value === 'number') assert.ok(Number.isFinite(value), `${path} is ${value}`);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) unharmed(member, `${path}.${key}`);
}

type Holder = { [key: string]: unknown };

/** Every place of a decoded message: the object or list that holds it, and its key. `Any` payloads are opened too. */
function places(message: MessageObject): { readonly holder: Holder; readonly key: string }[] {
  const found: { readonly holder: Holder; readonly key: string }[] = [];
  const pending: object[] = [message];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const [key, value] of Object.entries(at)) {
      found.push({ holder: at as Holder, key });
      if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value)) pending.push(value);
    }
  }
  return found;
}

const TEXTS = ['', '(', 'x'.repeat(100_000), '300.1.1.1', '10.0.0.0/99', '::gggg', '%', '%REQ(', '\u0000', 'a\r\nb: c'];
const MORE_TEXTS = [
  '*.*',
  '\ud800',
  '__proto__',
  'constructor',
  '((a*)*)*b',
  '(a{1000}){1000}',
  '[',
  '-1s',
  'NaN',
  '../../..',
];
const NUMBERS = [-1, 0, 0.5, 2 ** 31, 2 ** 32 - 1, 2 ** 53, 9e18, -9e18, 1e308, NaN, Infinity, -Infinity];

const hostile = fc.record({
  where: fc.nat(),
  text: fc.constantFrom(...TEXTS, ...MORE_TEXTS),
  number: fc.constantFrom(...NUMBERS),
  times: fc.constantFrom(0, 2, 300),
});

function spoil(
  message: MessageObject,
  { where, text, number, times }: typeof hostile extends fc.Arbitrary<infer T> ? T : never,
): void {
  const all = places(message);
  const place = all[where % all.length];
  if (place === undefined) return;
  const { holder, key } = place;
  const value = holder[key];
  if (typeof value === 'string') holder[key] = text;
  else if (typeof value === 'number') holder[key] = number;
  else if (typeof value === 'boolean') holder[key] = !value;
  else if (Buffer.isBuffer(value)) holder[key] = Buffer.from(text);
  else if (Array.isArray(value)) holder[key] = Array.from({ length: times }, (_, index) => value[index % value.length]);
  else holder[key] = {};
}

test('hostile values anywhere in a resource are taken as they stand or refused with a reason', () => {
  let refusals = 0;
  fc.assert(
    fc.property(fc.constantFrom(...SAMPLES), fc.array(hostile, { minLength: 1, maxLength: 3 }), (sample, changes) => {
      const type = sample.type_url.slice(sample.type_url.lastIndexOf('/') + 1);
      const message = decodeMessage(type, sample.value);
      for (const change of changes) spoil(message, change);
      let value: Buffer;
      try {
        value = encodeMessage(type, message);
      } catch {
        return;
      }
      if (decodes({ type_url: sample.type_url, value }).length > 0) refusals++;
    }),
    { numRuns: 1_500, seed: 11 },
  );
  assert.ok(refusals > 300, `only ${refusals} were refused: the changes do not reach what matters`);
});

test('endpoints and secrets that are cut off or changed never throw', () => {
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(
      fc.constantFrom(...SAMPLES.filter(({ type_url }) => type_url.endsWith(ENDPOINTS) || type_url.endsWith(SECRET))),
      fc.array(change, { maxLength: 6 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      ({ type_url, value }, changes, share) => {
        const bytes = Buffer.from(value);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        decodes({ type_url, value: bytes });
        decodes({ type_url, value: bytes.subarray(0, Math.floor(bytes.length * share)) });
      },
    ),
    { numRuns: 400, seed: 13 },
  );
});

test('a payload of another type is refused by its name, wherever it stands', () => {
  for (const { type_url } of SAMPLES) {
    for (const other of SAMPLES) {
      if (other.type_url === type_url) continue;
      const type = type_url.slice(type_url.lastIndexOf('/') + 1);
      assert.ok(isResourceMessage(type));
      const decoded = decodeResourceOf(type, other, CHECKS);
      assert.ok(!decoded.ok && decoded.errors[0]?.message.includes(`expected ${type}`));
    }
  }
  const wrong = { '@type': `type.googleapis.com/${CLUSTER}`, name: 'c' };
  const errors = decodes(packed(LISTENER, listener([{ name: 'f', typed_config: wrong }])));
  assert.match(errors[0]?.path ?? '', /^filter_chains\[0\]\.filters\[0\]/);
});

const raw = (type: string, message: MessageObject): Any => ({
  type_url: `type.googleapis.com/${type}`,
  value: encodeMessage(type, message),
});

test('durations and numbers that are out of range are refused at their place', () => {
  const cluster = (changes: MessageObject): readonly FieldError[] =>
    decodes(raw(CLUSTER, { name: 'c', type: 'STATIC', ...changes }));
  for (const connect_timeout of [
    { seconds: -1 },
    { seconds: 9_223_372_037 },
    { seconds: 9e18 },
    { nanos: 2_000_000_000 },
    { seconds: 1, nanos: -5 },
  ]) {
    const [error] = cluster({ connect_timeout });
    assert.equal(error?.path, 'connect_timeout', JSON.stringify(connect_timeout));
  }
  for (const value of [NaN, Infinity, -Infinity, -1, 101]) {
    const [error] = cluster({ common_lb_config: { healthy_panic_threshold: { value } } });
    assert.equal(error?.path, 'common_lb_config.healthy_panic_threshold.value', String(value));
  }
  assert.deepEqual(cluster({ connect_timeout: { seconds: 9_000_000_000 } }), []);
});

test('huge resources are decoded or refused in time, with a short list of errors', () => {
  const many = <T>(length: number, make: (index: number) => T): T[] =>
    Array.from({ length }, (_, index) => make(index));
  const route = { match: { prefix: '/' }, direct_response: { status: 200 } };
  const hosts = many(20_000, () => ({ name: 'same', domains: ['same'], routes: [route] }));
  const errors = decodes(packed(ROUTES, { name: 'r', virtual_hosts: hosts }));
  assert.ok(errors.length <= 100);
  const bad = many(2_000, () => ({
    endpoint: { address: { socket_address: { address: 'x'.repeat(1_000), port_value: 1 } } },
  }));
  assert.ok(decodes(packed(ENDPOINTS, { cluster_name: 'a', endpoints: [{ lb_endpoints: bad }] })).length <= 100);
  assert.deepEqual(decodes(packed(ROUTES, { name: 'n'.repeat(1e6), virtual_hosts: [] })), []);
  const regexes = [
    'a?'.repeat(8_000),
    '(x*)*'.repeat(3_000),
    '('.repeat(10_000),
    'a'.repeat(1e6),
    '(\\pL{500}){2}',
    '[',
  ];
  const routes = regexes.map((regex) => ({ match: { safe_regex: { regex } }, direct_response: { status: 200 } }));
  assert.ok(decodes(packed(ROUTES, { name: 'r', virtual_hosts: [{ name: 'v', domains: ['*'], routes }] })).length >= 4);
});

test('certificates that do not parse, and files that never end, are refused in time', () => {
  const bundle = (trusted_ca: object): readonly FieldError[] =>
    decodes(packed(SECRET, { name: 's', validation_context: { trusted_ca } }));
  const junk = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  for (const text of [
    junk,
    junk.repeat(20_000),
    '-----BEGIN CERTIFICATE-----\n'.repeat(50_000),
    '-'.repeat(2e6),
    'x',
  ]) {
    assert.equal(bundle({ inline_string: text })[0]?.path, 'validation_context');
  }
  assert.equal(bundle({ inline_bytes: Buffer.alloc(100_000, 0xff).toString('base64') })[0]?.path, 'validation_context');
  assert.match(bundle({ filename: '/dev/zero' })[0]?.message ?? '', /is not a file/);
  assert.match(bundle({ filename: process.execPath })[0]?.message ?? '', /more than \d+ bytes/);
  const halves = { certificate_chain: { inline_string: leaf.chain }, private_key: { inline_string: ca.rootPem } };
  assert.equal(decodes(packed(SECRET, { name: 's', tls_certificate: halves }))[0]?.path, 'tls_certificate');
});
