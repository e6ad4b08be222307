import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepted, ROUTES, refused, routed, warned } from './decoding.ts';

const to = { cluster: 'payment' };

function routeOf(route: { readonly [key: string]: unknown }) {
  const first = accepted(ROUTES, routed(route)).virtualHosts[0]?.routes[0];
  assert.ok(first !== undefined);
  return first;
}

test('a route has the defaults of Envoy', () => {
  const { action } = routeOf({ match: { prefix: '/' }, route: to });
  assert.ok(action.kind === 'route');
  assert.deepEqual(action.cluster, { kind: 'name', name: 'payment' });
  assert.equal(action.timeoutMs, 15_000);
  assert.equal(action.clusterNotFoundStatus, 503);
  assert.equal(action.idleTimeoutMs, undefined);
  assert.equal(action.grpcTimeoutHeaderMaxMs, undefined);
  assert.equal(action.usesStreamDuration, false);
  assert.equal(action.retry, undefined);
});

test('max_stream_duration is there even where it says nothing of the duration', () => {
  const { action } = routeOf({
    match: { prefix: '/' },
    route: { ...to, max_stream_duration: { grpc_timeout_header_max: '2s', grpc_timeout_header_offset: '0.1s' } },
  });
  assert.ok(action.kind === 'route');
  assert.deepEqual(
    [action.usesStreamDuration, action.maxStreamDurationMs, action.grpcTimeoutHeaderMaxMs, action.grpcTimeoutOffsetMs],
    [true, undefined, 2000, 100],
  );
});

test('paths are matched in each of their forms', () => {
  const pathOf = (match: { readonly [key: string]: unknown }) => routeOf({ match, route: to }).match.path;
  assert.deepEqual(pathOf({ path: '/a', case_sensitive: false }), { kind: 'exact', value: '/a', ignoreCase: true });
  assert.deepEqual(pathOf({ path_separated_prefix: '/a' }), {
    kind: 'path-separated-prefix',
    value: '/a',
    ignoreCase: false,
  });
  assert.deepEqual(pathOf({ safe_regex: { regex: '/a/[0-9]+' } }), { kind: 'regex', value: '/a/[0-9]+' });
  assert.deepEqual(pathOf({ connect_matcher: {} }), { kind: 'connect' });
});

test('deprecated header tests read as string matches', () => {
  const headers = [
    { name: 'A', exact_match: 'x' },
    { name: 'b', prefix_match: 'x', invert_match: true },
    { name: 'c', safe_regex_match: { regex: 'x.*' } },
    { name: 'd', string_match: { contains: 'x', ignore_case: true } },
    { name: 'e', range_match: { start: 1, end: 5 } },
    { name: 'f' },
    { name: 'g', present_match: false },
  ];
  const { match } = routeOf({ match: { prefix: '/', headers }, route: to });
  const string = (kind: string, value: string, ignoreCase = false) => ({
    kind: 'string',
    string: { kind, value, ignoreCase },
  });
  assert.deepEqual(
    match.headers.map((header) => [header.name, header.match, header.invert]),
    [
      ['a', string('exact', 'x'), false],
      ['b', string('prefix', 'x'), true],
      ['c', string('regex', 'x.*'), false],
      ['d', string('contains', 'x', true), false],
      ['e', { kind: 'range', start: 1, end: 5 }, false],
      ['f', { kind: 'present', present: true }, false],
      ['g', { kind: 'present', present: false }, false],
    ],
  );
});

test('retries, rewrites, weights and header changes come through', () => {
  const { action, headers } = routeOf({
    match: { prefix: '/' },
    request_headers_to_add: [
      { header: { key: 'X-A', value: '%REQ(b)%' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
    ],
    response_headers_to_remove: ['X-Gone'],
    route: {
      weighted_clusters: {
        clusters: [
          { name: 'a', weight: 1 },
          { name: 'b', weight: 3 },
        ],
      },
      regex_rewrite: { pattern: { regex: '^/v([0-9])' }, substitution: '/\\1' },
      timeout: '0s',
      max_grpc_timeout: '2s',
      retry_policy: {
        retry_on: 'connect-failure, 5xx,',
        num_retries: 2,
        per_try_timeout: '0.250s',
        retry_back_off: { base_interval: '0.010s' },
        retry_host_predicate: [
          {
            name: 'envoy.retry_host_predicates.previous_hosts',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
            },
          },
        ],
      },
    },
  });
  assert.ok(action.kind === 'route' && action.cluster.kind === 'weighted');
  assert.equal(action.cluster.totalWeight, 4);
  assert.deepEqual(action.regexRewrite, { regex: '^/v([0-9])', substitution: '/\\1' });
  assert.equal(action.timeoutMs, 0);
  assert.equal(action.grpcTimeoutHeaderMaxMs, 2000);
  assert.equal(action.usesStreamDuration, false);
  assert.deepEqual(action.retry?.on, ['connect-failure', '5xx']);
  assert.deepEqual(action.retry?.backoff, { baseMs: 10, maxMs: 100 });
  assert.equal(action.retry?.perTryTimeoutMs, 250);
  assert.equal(action.retry?.avoidPreviousHosts, true);
  assert.deepEqual(headers.requestAdd, [
    { name: 'x-a', value: '%REQ(b)%', action: 'overwrite-or-add', keepEmptyValue: false },
  ]);
  assert.deepEqual(headers.responseRemove, ['x-gone']);
});

test('redirects and direct responses come through', () => {
  const redirect = routeOf({ match: { prefix: '/' }, redirect: { https_redirect: true, response_code: 'SEE_OTHER' } });
  assert.ok(redirect.action.kind === 'redirect');
  assert.equal(redirect.action.status, 303);
  assert.equal(redirect.action.httpsRedirect, true);
  const direct = routeOf({ match: { prefix: '/' }, direct_response: { status: 404, body: { inline_string: 'no' } } });
  assert.deepEqual(direct.action, {
    kind: 'direct-response',
    status: 404,
    bodyBase64: Buffer.from('no').toString('base64'),
  });
});

const at = 'virtual_hosts[0].routes[0]';

const REFUSALS: readonly (readonly [string, { readonly [key: string]: unknown }, string])[] = [
  ['a route without match', routed({ route: to }), `${at}.match: value is required`],
  ['a route without action', routed({ match: { prefix: '/' } }), `${at}.action: one of route, redirect`],
  [
    'a host without domains',
    routed({ match: { prefix: '/' }, route: to }, { domains: [] }),
    'domains: value must contain at least 1 item(s)',
  ],
  [
    'a broken regex',
    routed({ match: { safe_regex: { regex: 'a(' } }, route: to }),
    `${at}.match.safe_regex.regex: invalid regex "a("`,
  ],
  ['a look-ahead', routed({ match: { safe_regex: { regex: 'a(?=b)' } }, route: to }), 'invalid regex'],
  ['a regex that grows', routed({ match: { safe_regex: { regex: '((a{100}){100}){100}' } }, route: to }), 'regex'],
  [
    'an empty prefix of a string match',
    routed({ match: { prefix: '/', headers: [{ name: 'a', string_match: { prefix: '' } }] }, route: to }),
    'string_match.prefix: value length must be at least 1 characters',
  ],
  [
    'no weight at all',
    routed({ match: { prefix: '/' }, route: { weighted_clusters: { clusters: [{ name: 'a', weight: 0 }] } } }),
    'Sum of weights in the weighted_cluster must be greater than 0.',
  ],
  [
    'both rewrites',
    routed({
      match: { prefix: '/' },
      route: { ...to, prefix_rewrite: '/a', regex_rewrite: { pattern: { regex: 'a' }, substitution: 'b' } },
    }),
    'Specify only one of prefix_rewrite, regex_rewrite',
  ],
  [
    'a header nobody may touch',
    routed({ match: { prefix: '/' }, route: to, request_headers_to_add: [{ header: { key: ':path', value: 'x' } }] }),
    ':-prefixed or host headers may not be modified',
  ],
  [
    'a line break in a header',
    routed({ match: { prefix: '/' }, route: to, request_headers_to_add: [{ header: { key: 'a', value: 'x\r\ny' } }] }),
    'value is not a valid HTTP header value',
  ],
  [
    'a status that is none',
    routed({ match: { prefix: '/' }, direct_response: { status: 42 } }),
    'status: value must be inside range [200, 600), is 42',
  ],
  [
    'a body beyond the limit',
    routed({ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'x'.repeat(4097) } } }),
    'response body size is 4097 bytes; maximum is 4096',
  ],
  [
    'a negative timeout',
    routed({ match: { prefix: '/' }, route: { ...to, timeout: '-1s' } }),
    'route.timeout: Expected positive duration',
  ],
  [
    'matching on metadata',
    routed({
      match: { prefix: '/', dynamic_metadata: [{ filter: 'a', path: [{ key: 'b' }], value: { present_match: true } }] },
      route: to,
    }),
    'dynamic_metadata: is not supported',
  ],
  [
    'the generic matching tree',
    routed({ match: { prefix: '/' }, route: to }, { matcher: {} }),
    'matcher: is not supported',
  ],
  [
    'a host by the same name',
    {
      name: 'r',
      virtual_hosts: [
        { name: 'a', domains: ['a'] },
        { name: 'a', domains: ['b'] },
      ],
    },
    'Only unique names for virtual hosts are permitted',
  ],
  [
    'a domain twice',
    {
      name: 'r',
      virtual_hosts: [
        { name: 'a', domains: ['A.com'] },
        { name: 'b', domains: ['a.com'] },
      ],
    },
    'Duplicate entry of domain a.com in route r',
  ],
  [
    'two catch-alls',
    {
      name: 'r',
      virtual_hosts: [
        { name: 'a', domains: ['*'] },
        { name: 'b', domains: ['*'] },
      ],
    },
    'Only a single wildcard domain is permitted',
  ],
];

for (const [name, json, expected] of REFUSALS) {
  test(`refuses ${name}`, () => {
    const errors = refused(ROUTES, json);
    assert.ok(
      errors.some((line) => line.includes(expected)),
      errors.join('\n'),
    );
  });
}

test('reports every error it finds', () => {
  const broken = { match: { safe_regex: { regex: '(' } }, route: { cluster: '' } };
  const errors = refused(ROUTES, routed(broken, { domains: [] }));
  assert.deepEqual(errors.map((line) => line.split(': ')[0]).sort(), [
    'virtual_hosts[0].domains',
    `${at}.match.safe_regex.regex`,
    `${at}.route.cluster`,
  ]);
});

test('what does not act is accepted with a warning', () => {
  const found = warned(
    ROUTES,
    routed({ match: { prefix: '/' }, route: { ...to, request_mirror_policies: [{ cluster: 'm' }] } }),
  );
  assert.deepEqual(
    found.map(({ field, path }) => [field, path]),
    [['envoy.config.route.v3.RouteAction.request_mirror_policies', `${at}.route.request_mirror_policies`]],
  );
});

test('a filter switched off for a route is told apart from one configured', () => {
  const type = 'type.googleapis.com/envoy.config.route.v3.FilterConfig';
  const route = routeOf({
    match: { prefix: '/' },
    route: to,
    typed_per_filter_config: {
      fault: { '@type': type, disabled: true },
      guard: {
        '@type': type,
        is_optional: true,
        config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute' },
      },
    },
  });
  assert.deepEqual(route.perFilterConfig, {
    fault: { name: 'fault', typeUrl: 'envoy.config.route.v3.FilterConfig', config: { disabled: true } },
  });
});

test('refuses what a filter that guards is told for a route', () => {
  const errors = refused(
    ROUTES,
    routed({
      match: { prefix: '/' },
      route: to,
      typed_per_filter_config: {
        guard: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute' },
      },
    }),
  );
  assert.match(errors.join('\n'), /typed_per_filter_config\["guard"\]: http filter route "guard" is not supported/);
});
