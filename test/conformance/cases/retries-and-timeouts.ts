import { countedApart, http, ONE_RETRY_APART, type Suite } from '../harness/case.ts';
import { get, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const retry = (retry_on: string, more: object = {}) => ({
  retry_policy: {
    retry_on,
    num_retries: 2,
    retry_back_off: { base_interval: '0.001s', max_interval: '0.002s' },
    ...more,
  },
});

/** The proxy heeds x-envoy- headers of internal callers alone. */
const INTERNAL = { 'x-forwarded-for': '10.0.0.1' };

/** How often an endpoint is asked, and how long it may take. */
export const suite: Suite = {
  name: 'retries and timeouts',
  upstreams: ['a', 'refused', 'b'],
  listener: 'ingress',
  bootstrap: http({
    manager: { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } },
    clusters: { a: ['a'], refused: ['refused'], mixed: ['refused', 'b'] },
    routes: [
      { match: { path: '/none' }, route: { cluster: 'a' } },
      { match: { path: '/5xx' }, route: { cluster: 'a', ...retry('5xx') } },
      { match: { path: '/gateway' }, route: { cluster: 'a', ...retry('gateway-error') } },
      {
        match: { path: '/codes' },
        route: { cluster: 'a', ...retry('retriable-status-codes', { retriable_status_codes: [418] }) },
      },
      { match: { path: '/4xx' }, route: { cluster: 'a', ...retry('retriable-4xx') } },
      { match: { path: '/reset' }, route: { cluster: 'a', ...retry('reset') } },
      { match: { path: '/connect' }, route: { cluster: 'refused', ...retry('connect-failure') } },
      {
        match: { path: '/headers' },
        route: {
          cluster: 'a',
          ...retry('retriable-headers', { retriable_headers: [{ name: 'x-again', present_match: true }] }),
        },
      },
      { match: { path: '/timeout' }, route: { cluster: 'a', timeout: '0.2s' } },
      {
        match: { path: '/per-try' },
        route: { cluster: 'a', timeout: '2s', ...retry('5xx', { per_try_timeout: '0.15s', num_retries: 1 }) },
      },
    ],
  }),
  cases: [
    { name: 'a 503 without a policy is passed on', client: get('/none'), upstreams: { a: [reply(503, 'busy')] } },
    {
      name: 'a GET is asked again after 503',
      client: get('/5xx'),
      upstreams: { a: [reply(503), reply(200, 'second')] },
    },
    { name: 'a GET runs out of retries', client: get('/5xx'), upstreams: { a: [reply(503, 'no')] } },
    {
      name: 'a POST that the application answered with 503 is not sent again',
      client: post('/5xx', 'pay'),
      upstreams: { a: [reply(503, 'no'), reply(200, 'second')] },
      differs: {
        why: 'a 503 of the application says nothing of whether it took the payment: a POST without Idempotency-Key is not sent twice',
        at: {
          'client[0].responses[0].*': { envoy: '*', tollway: '*' },
          'upstreams.a[1]': { envoy: '*', tollway: undefined },
          'accessLog[0].*': { envoy: '*', tollway: '*' },
        },
      },
    },
    { name: 'gateway-error takes 502', client: get('/gateway'), upstreams: { a: [reply(502), reply(200, 'second')] } },
    {
      name: 'gateway-error does not take 500',
      client: get('/gateway'),
      upstreams: { a: [reply(500, 'no'), reply(200, 'second')] },
    },
    { name: 'a status of the list', client: get('/codes'), upstreams: { a: [reply(418), reply(200, 'second')] } },
    { name: 'a 409', client: get('/4xx'), upstreams: { a: [reply(409), reply(200, 'second')] } },
    {
      name: 'a 404 is not retriable-4xx',
      client: get('/4xx'),
      upstreams: { a: [reply(404, 'no'), reply(200, 'second')] },
    },
    {
      name: 'a connection closed without an answer',
      client: get('/reset'),
      upstreams: { a: [{ do: 'close' }, reply(200, 'second')] },
    },
    { name: 'a reset connection', client: get('/reset'), upstreams: { a: [{ do: 'reset' }, reply(200, 'second')] } },
    { name: 'a closed connection without a policy', client: get('/none'), upstreams: { a: [{ do: 'close' }] } },
    {
      name: 'a refused connection is tried three times',
      client: get('/connect'),
      upstreams: { refused: 'refuse-connections' },
    },
    {
      name: 'a response header asks for it',
      client: get('/headers'),
      upstreams: { a: [reply(200, 'no', { 'x-again': '1' }), reply(200, 'second')] },
    },
    {
      name: 'the caller asks for retries',
      client: get('/none', { ...INTERNAL, 'x-envoy-retry-on': '5xx', 'x-envoy-max-retries': '1' }),
      upstreams: { a: [reply(503), reply(200, 'second')] },
    },
    { name: 'a route timeout', client: get('/timeout'), upstreams: { a: [{ do: 'hang' }] }, takesMs: [180, 600] },
    { name: 'a timeout per try', client: get('/per-try'), upstreams: { a: [{ do: 'hang' }] }, takesMs: [280, 900] },
    {
      name: 'the caller shortens the timeout',
      client: get('/none', { ...INTERNAL, 'x-envoy-upstream-rq-timeout-ms': '150' }),
      upstreams: { a: [{ do: 'hang' }] },
      takesMs: [130, 600],
    },
    {
      name: 'a response cut off in its body',
      client: get('/none'),
      upstreams: { a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', thenClose: true }] },
    },
  ],
  statsDiffer: countedApart('one POST is not sent a second time', ONE_RETRY_APART),
};
