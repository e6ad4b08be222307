import { type Difference, http, ROUTER, type Suite, typeUrl } from '../harness/case.ts';
import { get, http2, on, post, raw } from '../harness/client.ts';
import { request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const predicate = (name: string, more: object = {}) => ({
  name: `envoy.internal_redirect_predicates.${name}`,
  typed_config: {
    '@type': typeUrl(`envoy.extensions.internal_redirect.${name}.v3.${PREDICATES[name]}`),
    ...more,
  },
});
const PREDICATES: { readonly [name: string]: string } = {
  previous_routes: 'PreviousRoutesConfig',
  allow_listed_routes: 'AllowListedRoutesConfig',
  safe_cross_scheme: 'SafeCrossSchemeConfig',
};
const route = (prefix: string, policy: object | undefined, more: object = {}) => ({
  name: prefix.slice(1),
  match: { prefix },
  route: { cluster: 'a', ...(policy === undefined ? {} : { internal_redirect_policy: policy }), ...more },
});
const to = (location: string, status = 302, more: { readonly [name: string]: string } = {}) =>
  reply(status, 'moved', { location, ...more });
const HOME = 'http://conformance.test';
const ALL = { redirect_response_codes: [301, 302, 303, 307, 308] };
/** Envoy counts a body that it sends on to the target as received once more. */
const once = (bytes: number, times = 2): { readonly differs: Difference } => ({
  differs: {
    why: 'what the caller sent came once',
    at: Object.fromEntries(
      Array.from({ length: times - 1 }, (_, i) => [
        `accessLog[${i + 1}].received`,
        { envoy: bytes * (i + 2), tollway: bytes },
      ]),
    ),
  },
});
const TARGET = [to(`${HOME}/b/new?x=1`), reply(200, 'there')];
const to307 = to(`${HOME}/b/new`, 307);

/** Redirects of the upstream that are followed here. */
export const suite: Suite = {
  name: 'internal redirects',
  upstreams: ['a', 'b'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], b: ['b'] },
    variants: {
      edge: { use_remote_address: true },
      via: {
        via: 'proxy',
        generate_request_id: true,
        common_http_protocol_options: { max_requests_per_connection: 2 },
      },
      filtered: {
        http_filters: [
          {
            name: 'envoy.filters.http.buffer',
            typed_config: {
              '@type': typeUrl('envoy.extensions.filters.http.buffer.v3.Buffer'),
              max_request_bytes: 100,
            },
          },
          {
            name: 'envoy.filters.http.header_mutation',
            typed_config: {
              '@type': typeUrl('envoy.extensions.filters.http.header_mutation.v3.HeaderMutation'),
              mutations: {
                request_mutations: [{ append: { header: { key: 'x-pass', value: '%REQ(:PATH)%' } } }],
                response_mutations: [{ append: { header: { key: 'x-back', value: '%REQ(:PATH)%' } } }],
              },
            },
          },
          ROUTER,
        ],
      },
      secure: { scheme_header_transformation: { scheme_to_overwrite: 'https' } },
    },
    routes: [
      route('/plain', {}),
      route('/all', ALL),
      route('/two', { max_internal_redirects: 2 }),
      route('/previous', { max_internal_redirects: 5, predicates: [predicate('previous_routes')] }),
      route('/listed', { predicates: [predicate('allow_listed_routes', { allowed_route_names: ['b', 'plain'] })] }),
      route('/cross', { allow_cross_scheme_redirect: true }),
      route('/safe', { allow_cross_scheme_redirect: true, predicates: [predicate('safe_cross_scheme')] }),
      route('/copied', { response_headers_to_copy: ['x-token', 'x-gone'] }),
      route('/none', undefined),
      route('/deprecated', undefined, {
        internal_redirect_action: 'HANDLE_INTERNAL_REDIRECT',
        max_internal_redirects: 2,
      }),
      route('/retried', { ...ALL }, { retry_policy: { retry_on: '5xx', num_retries: 1 } }),
      route('/slow', {}, { timeout: '0.3s' }),
      { ...route('/small', ALL), per_request_buffer_limit_bytes: 10 },
      {
        ...route('/changed', {}, { prefix_rewrite: '/rewritten', host_rewrite_literal: 'other.test' }),
        request_headers_to_add: [{ header: { key: 'x-level', value: 'changed' } }],
        response_headers_to_add: [{ header: { key: 'x-answer', value: 'changed' } }],
      },
      {
        ...route('/b', {}, { cluster: 'b', internal_redirect_policy: { ...ALL, max_internal_redirects: 3 } }),
        request_headers_to_add: [{ header: { key: 'x-level', value: 'b' } }],
      },
      {
        name: 'answer',
        match: { prefix: '/answer' },
        direct_response: { status: 200, body: { inline_string: 'direct' } },
      },
      { name: 'upgrade', match: { prefix: '/moved' }, redirect: { path_redirect: '/b' } },
    ],
  }),
  cases: [
    { name: 'to another route', client: get('/plain'), upstreams: { a: TARGET, b: TARGET.slice(1) }, logLines: 2 },
    {
      name: 'to the same route',
      client: get('/plain'),
      upstreams: { a: [to(`${HOME}/plain/2`), reply(200, 'there')] },
      logLines: 2,
    },
    { name: 'to another host', client: get('/plain'), upstreams: { a: [to('http://other.test:81/b/1')] }, logLines: 2 },
    { name: 'a fragment', client: get('/plain'), upstreams: { a: [to(`${HOME}/b/1#part`)] }, logLines: 2 },
    { name: 'no path', client: get('/plain'), upstreams: { a: [to('http://conformance.test')] } },
    {
      name: 'a query and no path',
      client: get('/plain'),
      upstreams: { a: [to('http://conformance.test?a=b')] },
      logLines: 1,
    },
    { name: 'a relative location', client: get('/plain'), upstreams: { a: [to('/b/1')] } },
    { name: 'an empty location', client: get('/plain'), upstreams: { a: [to('')] } },
    { name: 'a location that is none', client: get('/plain'), upstreams: { a: [to('http:///b')] } },
    { name: 'another scheme altogether', client: get('/plain'), upstreams: { a: [to('ftp://conformance.test/b')] } },
    { name: 'no location', client: get('/plain'), upstreams: { a: [reply(302, 'moved')] } },
    { name: 'a status that is not followed', client: get('/plain'), upstreams: { a: [to307] } },
    { name: 'a route that does not follow', client: get('/none'), upstreams: { a: TARGET } },
    { name: 'to https', client: get('/plain'), upstreams: { a: [to('https://conformance.test/b')] } },
    {
      name: 'to https where that is allowed',
      client: get('/cross'),
      upstreams: { a: [to('https://conformance.test/b')] },
      logLines: 2,
    },
    {
      name: 'to https where that is safe',
      client: get('/safe'),
      upstreams: { a: [to('https://conformance.test/b')] },
      logLines: 2,
    },
    { name: 'from https to http', client: on('secure', get('/plain')), upstreams: { a: TARGET } },
    {
      name: 'from https to http where that is allowed',
      client: on('secure', get('/cross')),
      upstreams: { a: TARGET },
      logLines: 2,
    },
    { name: 'from https to http where that is not safe', client: on('secure', get('/safe')), upstreams: { a: TARGET } },
    {
      name: 'once too often',
      client: get('/plain'),
      upstreams: { a: [to(`${HOME}/plain/2`), to(`${HOME}/plain/3`)] },
      logLines: 2,
    },
    {
      name: 'twice',
      client: get('/two'),
      upstreams: { a: [to(`${HOME}/two/2`), to(`${HOME}/b/3`)], b: [reply(200, 'there')] },
      logLines: 3,
    },
    {
      name: "the target's limit counts",
      client: get('/plain'),
      upstreams: { a: [to(`${HOME}/b/2`)], b: [to(`${HOME}/b/3`), to(`${HOME}/b/4`), reply(200, 'there')] },
      logLines: 4,
    },
    {
      name: 'a route that was taken',
      client: get('/previous'),
      upstreams: { a: [to(`${HOME}/previous/2`)] },
      logLines: 2,
    },
    {
      name: 'a route that was taken and left',
      client: get('/previous'),
      upstreams: { a: [to(`${HOME}/b/2`), reply(200, 'again')], b: [to(`${HOME}/previous/3`)] },
      logLines: 3,
    },
    { name: 'a listed route', client: get('/listed'), upstreams: { a: TARGET }, logLines: 2 },
    { name: 'a route that is not listed', client: get('/listed'), upstreams: { a: [to(`${HOME}/two`)] } },
    {
      name: 'headers are copied',
      client: get('/copied', { 'x-gone': 'old', 'x-token': 'old' }),
      upstreams: { a: [to(`${HOME}/b/1`, 302, { 'x-token': 'new' })] },
      logLines: 2,
    },
    { name: 'no route', client: get('/plain'), upstreams: { a: [to(`${HOME}/nothing`)] } },
    { name: 'to a direct response', client: get('/plain'), upstreams: { a: [to(`${HOME}/answer`)] }, logLines: 2 },
    { name: 'to a redirect', client: get('/plain'), upstreams: { a: [to(`${HOME}/moved`)] }, logLines: 2 },
    { name: 'the deprecated fields', client: get('/deprecated'), upstreams: { a: TARGET }, logLines: 2 },
    {
      name: 'headers that the first route changed',
      client: get('/changed', { 'x-own': '1' }),
      upstreams: { a: TARGET },
      logLines: 2,
    },
    {
      name: 'HEAD',
      client: get('/plain', {}, 'HEAD'),
      upstreams: { a: [reply(302, '', { location: `${HOME}/b/1` })], b: [reply(200)] },
      logLines: 2,
    },
    { name: 'a body again by 307', client: post('/all', 'money'), upstreams: { a: [to307] }, ...once(5), logLines: 2 },
    { name: 'a body again by 302', client: post('/all', 'money'), upstreams: { a: TARGET }, ...once(5), logLines: 2 },
    {
      name: 'a body again by 308',
      client: post('/all', 'money'),
      upstreams: { a: [to(`${HOME}/b`, 308)] },
      ...once(5),
      logLines: 2,
    },
    {
      name: 'a PUT with a 303',
      client: get('/all', {}, 'PUT', 'money'),
      upstreams: { a: [to(`${HOME}/b`, 303)] },
      logLines: 2,
    },
    { name: 'a POST with a 303', client: post('/all', 'money'), upstreams: { a: [to(`${HOME}/b`, 303)] }, logLines: 2 },
    {
      name: 'a POST without a body with a 303',
      client: post('/all', ''),
      upstreams: { a: [to(`${HOME}/b`, 303)] },
      logLines: 2,
    },
    { name: 'a GET with a 303', client: get('/all'), upstreams: { a: [to(`${HOME}/b`, 303)] }, logLines: 2 },
    {
      name: 'a body twice',
      client: post('/all', 'money'),
      upstreams: { a: [to307], b: [to(`${HOME}/b/2`, 307), reply(200, 'there')] },
      ...once(5, 3),
      logLines: 3,
    },
    { name: 'a body beyond the limit', client: post('/small', 'x'.repeat(500)), upstreams: { a: [to307] } },
    {
      name: 'a body in chunks',
      client: raw('POST /all HTTP/1.1\nhost: conformance.test\ntransfer-encoding: chunked\n\n3\nabc\n3\ndef\n0\n\n'),
      upstreams: { a: [to307] },
      ...once(6),
      logLines: 2,
    },
    {
      name: 'an answer before the body ends',
      client: { send: ['POST /all HTTP/1.1\r\nhost: conformance.test\r\ncontent-length: 6\r\n\r\nabc', 150, 'def'] },
      upstreams: { a: [{ do: 'send', early: to307.bytes, bytes: '' }] },
      logLines: 1,
    },
    {
      name: 'after a retry',
      client: get('/retried'),
      upstreams: { a: [reply(503), to(`${HOME}/b/1`)] },
      logLines: 2,
    },
    { name: 'the target fails', client: get('/plain'), upstreams: { a: TARGET, b: [{ do: 'close' }] }, logLines: 2 },
    {
      name: 'the time begins anew',
      client: get('/slow'),
      upstreams: {
        a: [
          { ...to(`${HOME}/slow/2`), afterMs: 200 },
          { ...reply(200, 'there'), afterMs: 200 },
        ],
      },
      logLines: 2,
    },
    {
      name: 'at the edge',
      client: on('edge', get('/plain', { 'x-forwarded-for': '1.2.3.4' })),
      upstreams: { a: TARGET },
      logLines: 2,
    },
    {
      name: 'fields of the proxy',
      client: on('via', get('/plain', { 'x-request-id': '11111111-1111-4111-8111-111111111111' })),
      upstreams: { a: TARGET },
      logLines: 2,
    },
    {
      name: 'the connection goes on',
      client: raw('GET /plain HTTP/1.1\nhost: conformance.test\n\nGET /answer HTTP/1.1\nhost: conformance.test\n\n', {
        responses: 2,
      }),
      upstreams: { a: TARGET },
      logLines: 3,
    },
    {
      name: 'through filters',
      client: on('filtered', get('/plain')),
      upstreams: { a: TARGET },
      logLines: 2,
    },
    {
      name: 'through filters, with a body',
      client: on('filtered', post('/all', 'money')),
      upstreams: { a: [to307] },
      logLines: 2,
      ...once(5),
    },
    {
      name: 'through filters, and refused',
      client: on('filtered', get('/plain')),
      upstreams: { a: [to(`${HOME}/nothing`)] },
    },
    {
      name: 'through filters, to a direct response',
      client: on('filtered', get('/plain')),
      upstreams: { a: [to(`${HOME}/answer`)] },
      logLines: 2,
    },
    { name: 'over HTTP/2', client: http2([request(1, 'GET', '/plain')]), upstreams: { a: TARGET }, logLines: 2 },
    {
      name: 'over HTTP/2 with a body',
      client: http2([request(1, 'POST', '/all', {}, 'money')]),
      upstreams: { a: [to307] },
      ...once(5),
      logLines: 2,
    },
    {
      name: 'a gRPC call',
      client: http2([request(1, 'POST', '/all', { 'content-type': 'application/grpc' }, 'x')]),
      upstreams: { a: [to307] },
      ...once(1),
      logLines: 2,
    },
  ],
};
