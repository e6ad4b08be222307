import {
  type Case,
  countedApart,
  type Difference,
  http,
  httpOptions,
  ROUTER,
  type Suite,
  typeUrl,
} from '../harness/case.ts';
import { type Exchange, get, http2, on, raw } from '../harness/client.ts';
import { data, frame, headers } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const CONNECT = { upgrade_type: 'CONNECT' };
const END = { ...CONNECT, connect_config: {} };
const route = (upgrade_configs: readonly object[], cluster = 'a', more: object = {}) => ({
  match: { connect_matcher: {} },
  route: { cluster, upgrade_configs, ...more },
});
const host = (name: string, ...routes: readonly object[]) => ({
  name,
  domains: [`${name}.test`, `${name}.test:*`],
  routes,
});
const INNER = 'GET /inner HTTP/1.1\r\nhost: inner.test\r\n\r\n';
const UPGRADED = {
  do: 'send' as const,
  bytes: 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ws\r\n\r\n',
  thenClose: true,
};
const tunnel = (
  name: string,
  parts: readonly (string | number)[] = [60, INNER],
  more: Partial<Exchange> = {},
): Exchange => ({
  send: [`CONNECT ${name}.test:80 HTTP/1.1\r\nhost: ${name}.test:80\r\n\r\n`, ...parts],
  responses: 0,
  withinMs: 500,
  ...more,
});
const tunnel2 = (
  name: string,
  parts: readonly (Buffer | number)[] = [60, data(1, INNER, false)],
  responses = 0,
): Exchange => ({
  ...http2(
    [
      headers(
        1,
        [
          [':method', 'CONNECT'],
          [':authority', `${name}.test:80`],
        ],
        false,
      ),
      ...parts,
    ],
    responses,
  ),
  withinMs: 500,
});
const upgrade = (path: string, protocol = 'ws', more: { readonly [name: string]: string } = {}): Exchange => ({
  ...get(path, { connection: 'Upgrade', upgrade: protocol, ...more }),
  withinMs: 700,
});
const ws = (prefix: string, upgrade_configs: readonly object[]) => ({
  match: { prefix },
  route: { cluster: 'a', upgrade_configs },
});
const any = { envoy: '*', tollway: '*' };
/** The client goes away at the end of the case; its FIN ends one direction of the tunnel, and the upstream's end follows. */
const half = (more: Difference['at'] = {}): { readonly differs: Difference } => ({
  differs: {
    why: 'a FIN ends its half of a tunnel and is no reset',
    at: { 'accessLog[0].details': any, 'accessLog[0].flags': any, ...more },
  },
});

/** Says which chain a request went through. */
const marking = (chain: string) => ({
  name: 'envoy.filters.http.header_mutation',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.header_mutation.v3.HeaderMutation'),
    mutations: { request_mutations: [{ append: { header: { key: 'x-chain', value: chain } } }] },
  },
});

/** CONNECT and upgrades: where they are allowed, where they end, and what passes through them. */
export const suite: Suite = {
  name: 'tunnels',
  upstreams: ['a', 'b', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: ['a'],
      b: ['b'],
      two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) },
      nobody: { endpoints: [] },
    },
    manager: { http2_protocol_options: { allow_connect: true } },
    variants: {
      enabled: { upgrade_configs: [CONNECT, { upgrade_type: 'ws' }] },
      disabled: {
        upgrade_configs: [
          { ...CONNECT, enabled: false },
          { upgrade_type: 'ws', enabled: false },
        ],
      },
      'short-lived': { stream_idle_timeout: '0.2s', upgrade_configs: [CONNECT] },
      filtered: {
        http_filters: [marking('manager'), ROUTER],
        upgrade_configs: [
          { ...CONNECT, filters: [marking('connect'), ROUTER] },
          { upgrade_type: 'WS', filters: [marking('upgrade'), ROUTER], enabled: false },
          { upgrade_type: 'other' },
        ],
      },
      strict: { http2_protocol_options: {}, upgrade_configs: [CONNECT] },
    },
    routes: {
      virtual_hosts: [
        host('ended', route([END])),
        host('ended-b', route([END], 'b')),
        host('forwarded', route([CONNECT])),
        host('forwarded-two', route([CONNECT], 'two')),
        host('disabled', route([{ ...CONNECT, enabled: false }])),
        host('ended-disabled', route([{ ...END, enabled: false }])),
        host('silent', route([])),
        host('nobody', route([END], 'nobody')),
        host('retried', route([END], 'b', { retry_policy: { retry_on: 'connect-failure', num_retries: 2 } })),
        host('posted', {
          match: { prefix: '/' },
          route: { cluster: 'a', upgrade_configs: [{ ...CONNECT, connect_config: { allow_post: true } }] },
        }),
        host('plain', { match: { prefix: '/' }, route: { cluster: 'a' } }),
        host('direct', {
          match: { connect_matcher: {} },
          direct_response: { status: 200, body: { inline_string: 'direct' } },
        }),
        {
          name: 'all',
          domains: ['*'],
          routes: [
            ws('/on', [{ upgrade_type: 'WS' }]),
            ws('/off', [{ upgrade_type: 'ws', enabled: false }]),
            ws('/other', [{ upgrade_type: 'other' }]),
            ws('/', []),
          ],
        },
      ],
    },
  }),
  cases: [
    { ...half(), name: 'CONNECT that ends here', client: tunnel('ended') },
    { ...half(), name: 'CONNECT that ends here, bytes at once', client: tunnel('ended', [INNER]) },
    { ...half(), name: 'CONNECT that ends here, two requests inside', client: tunnel('ended', [60, INNER, 60, INNER]) },
    {
      ...half({ 'client[0].responses[0].body': any, 'accessLog[0].sent': any }),
      name: 'CONNECT that ends here, the client ends',
      client: tunnel('ended', [60, INNER], { halfClose: true }),
    },
    {
      name: 'CONNECT that ends here, the upstream ends',
      client: tunnel('ended'),
      upstreams: { a: [{ ...reply(200, 'a'), thenClose: true }] },
    },
    {
      name: 'CONNECT that ends here, the upstream resets',
      client: tunnel('ended'),
      upstreams: { a: [{ do: 'reset' }] },
    },
    {
      name: 'CONNECT that ends here, nobody listens',
      client: tunnel('ended-b'),
      upstreams: { b: 'refuse-connections' },
    },
    { name: 'CONNECT that ends here, retried', client: tunnel('retried', []), upstreams: { b: 'refuse-connections' } },
    { name: 'CONNECT that ends here, no endpoint', client: tunnel('nobody') },
    { ...half(), name: 'CONNECT that ends here with the manager enabling it', client: on('enabled', tunnel('ended')) },
    { ...half(), name: 'CONNECT that ends here over the manager', client: on('disabled', tunnel('ended')) },
    { name: 'CONNECT that stands still', client: on('short-lived', tunnel('ended', [60, INNER], { withinMs: 1500 })) },
    {
      ...half(),
      name: 'CONNECT that is passed on',
      client: tunnel('forwarded'),
      upstreams: { a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\n\r\n' }, reply(200, 'inside')] },
    },
    {
      name: 'CONNECT that the upstream refuses',
      client: tunnel('forwarded', [60], { responses: 1 }),
      upstreams: { a: [reply(403, 'no')] },
    },
    { name: 'CONNECT that is passed on to HTTP/2', client: tunnel('forwarded-two', [60], { halfClose: true }) },
    {
      ...half(),
      name: 'CONNECT by the manager alone',
      client: on('enabled', tunnel('silent', [60])),
      upstreams: { a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\n\r\n' }] },
    },
    { name: 'CONNECT that the route forbids', client: on('enabled', tunnel('disabled', [60], { responses: 1 })) },
    {
      name: 'CONNECT that ends here and is forbidden',
      client: on('enabled', tunnel('ended-disabled', [60], { responses: 1 })),
    },
    { name: 'CONNECT that nobody allows', client: tunnel('silent', [60], { responses: 1 }) },
    { name: 'CONNECT to a route that is for paths', client: on('enabled', tunnel('plain', [60], { responses: 1 })) },
    { name: 'CONNECT to no route', client: on('enabled', tunnel('nowhere-at-all', [60], { responses: 1 })) },
    {
      differs: {
        why: 'a 2xx to CONNECT has no length (RFC 9110 §9.3.6)',
        at: {
          'client[0].responses[0].headers.*': any,
          'client[0].responses[0].framing': { envoy: 'length', tollway: 'close' },
        },
      },
      name: 'CONNECT to a direct response',
      client: on('enabled', tunnel('direct', [60], { responses: 1 })),
    },
    { name: 'a GET where CONNECT ends', client: get('/x', { host: 'ended.test' }) },
    {
      name: 'a POST that becomes bytes',
      client: {
        ...raw('POST /x HTTP/1.1\nhost: posted.test\ncontent-length: 44\n\n'),
        send: [`POST /x HTTP/1.1\r\nhost: posted.test\r\ncontent-length: ${INNER.length}\r\n\r\n${INNER}`],
        withinMs: 500,
        responses: 0,
      },
    },
    { name: 'CONNECT in HTTP/2 that ends here', client: tunnel2('ended') },
    {
      name: 'CONNECT in HTTP/2 that ends here, the client ends',
      client: tunnel2('ended', [60, data(1, INNER, true)], 1),
    },
    {
      name: 'CONNECT in HTTP/2 that ends here, the client resets',
      client: tunnel2('ended', [60, data(1, INNER, false), 60, frame(3, 0, 1, Buffer.from([0, 0, 0, 8]))]),
    },
    {
      name: 'CONNECT in HTTP/2 that ends here, the upstream ends',
      client: tunnel2('ended', undefined, 1),
      upstreams: { a: [{ ...reply(200, 'a'), thenClose: true }] },
    },
    {
      name: 'CONNECT in HTTP/2 that ends here, nobody listens',
      client: tunnel2('ended-b', [60], 1),
      upstreams: { b: 'refuse-connections' },
    },
    {
      name: 'CONNECT in HTTP/2 that is passed on',
      client: tunnel2('forwarded'),
      upstreams: { a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\n\r\n' }, reply(200, 'inside')] },
    },
    {
      name: 'CONNECT in HTTP/2 that is passed on to HTTP/2',
      client: tunnel2('forwarded-two', [60, data(1, 'x', true)], 1),
    },
    { name: 'CONNECT in HTTP/2 that nobody allows', client: tunnel2('silent', [60], 1) },
    { name: 'CONNECT in HTTP/2 without allow_connect', client: on('strict', tunnel2('ended')) },
    ...['/on', '/off', '/other', '/'].flatMap((path): Case[] =>
      ['ingress', 'enabled', 'disabled'].map((listener) => ({
        name: `an upgrade of ${listener} at ${path}`,
        client: on(listener, upgrade(path)),
        upstreams: { a: [UPGRADED] },
        ...(path === '/on' || (listener === 'enabled' && path !== '/off') ? half() : {}),
      })),
    ),
    { name: 'CONNECT that nobody allows to no route', client: tunnel('nowhere-at-all', [60], { responses: 1 }) },
    { ...half(), name: 'an upgrade in capitals', client: upgrade('/on', 'WS'), upstreams: { a: [UPGRADED] } },
    { name: 'two upgrades', client: upgrade('/on', 'ws, other'), upstreams: { a: [UPGRADED] } },
    {
      ...half(),
      name: 'an upgrade with bytes at once',
      client: { ...upgrade('/on'), send: [`${upgrade('/on').send[0]}early`] },
      upstreams: { a: [UPGRADED] },
    },
    {
      name: 'an upgrade to no route',
      client: {
        ...upgrade('/on'),
        send: ['GET / HTTP/1.1\r\nhost: direct.test\r\nconnection: upgrade\r\nupgrade: ws\r\n\r\n'],
      },
    },
    ...['/on', '/other', '/'].map(
      (path): Case => ({
        name: `an upgrade with filters of its own at ${path}`,
        client: on('filtered', upgrade(path, path === '/other' ? 'other' : 'ws')),
        upstreams: { a: [UPGRADED] },
        ...(path === '/' ? {} : half()),
      }),
    ),
    { name: 'no upgrade, and the filters of the manager', client: on('filtered', get('/on')) },
    {
      name: 'CONNECT with filters of its own',
      client: on('filtered', tunnel('forwarded', [60])),
      upstreams: { a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\n\r\n' }] },
      ...half(),
    },
    {
      name: 'bytes before the upstream agrees',
      client: tunnel('forwarded', [INNER]),
      upstreams: { a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\n\r\n', afterMs: 100 }, reply(200, 'inside')] },
      ...half(),
    },
    {
      differs: {
        why: 'bytes that nobody has agreed to are not read',
        at: { 'accessLog[0].received': { envoy: 41, tollway: 0 } },
      },
      name: 'bytes before the upstream refuses',
      client: tunnel('forwarded', [INNER], { responses: 1 }),
      upstreams: { a: [{ ...reply(403, 'no'), afterMs: 100 }, reply(200, 'inside')] },
    },
  ],
  statsDiffer: countedApart("a FIN ends its half of a tunnel and is no reset; the codec of HTTP/2 is Tollway's own", [
    'cluster.two.http2.nghttp2_upstream_connections',
    ...['disabled', 'enabled', 'filtered', 'ingress'].flatMap((name) =>
      ['rx', 'tx'].map((side) => `http.${name}.downstream_rq_${side}_reset`),
    ),
  ]),
};
