import { http, httpOptions, type Suite } from '../harness/case.ts';
import { type Exchange, get, raw } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const each = (count: number, exchange: Exchange): readonly Exchange[] =>
  Array.from({ length: count }, () => ({ ...exchange, lingerMs: 10 }));
const paused = (ms: number, exchange: Exchange): Exchange => ({ ...exchange, send: [ms, ...exchange.send] });

/** Which upstream connection a request goes on, and when downstream and upstream connections end. */
export const suite: Suite = {
  name: 'connections',
  upstreams: ['a', 'idle', 'once', 'twice'],
  listener: 'ingress',
  connections: true,
  bootstrap: http({
    clusters: {
      a: ['a'],
      idle: { endpoints: ['idle'], ...httpOptions({ idle_timeout: '0.2s' }) },
      once: { endpoints: ['once'], ...httpOptions({ max_requests_per_connection: 1 }) },
      twice: { endpoints: ['twice'], max_requests_per_connection: 2 },
    },
    routes: [
      { match: { path: '/a' }, route: { cluster: 'a' } },
      { match: { path: '/idle' }, route: { cluster: 'idle' } },
      { match: { path: '/once' }, route: { cluster: 'once' } },
      { match: { path: '/twice' }, route: { cluster: 'twice' } },
    ],
    variants: {
      'idle-downstream': { common_http_protocol_options: { idle_timeout: '0.2s' }, drain_timeout: '0.1s' },
      'two-requests': { common_http_protocol_options: { max_requests_per_connection: 2 } },
      'short-life': { common_http_protocol_options: { max_connection_duration: '0.2s' }, drain_timeout: '0.1s' },
    },
  }),
  cases: [
    { name: 'a connection is used again', client: each(3, get('/a')) },
    {
      name: 'a connection that the upstream closed is not used again',
      client: each(2, get('/a')),
      upstreams: { a: [{ ...reply(200, 'bye'), thenClose: true } as const, reply(200)] },
    },
    {
      name: 'a response that says close ends its connection',
      client: each(2, get('/a')),
      upstreams: { a: [reply(200, 'bye', { connection: 'close' })] },
    },
    {
      name: 'two at once take two connections',
      client: [get('/a'), get('/a')],
      together: true,
      upstreams: { a: [{ ...reply(200), afterMs: 100 } as const] },
    },
    { name: 'an idle upstream connection ends', client: [get('/idle'), paused(400, get('/idle'))] },
    { name: 'one request a connection', client: each(3, get('/once')) },
    { name: 'two requests a connection', client: each(3, get('/twice')) },
    {
      name: 'an idle downstream connection ends',
      client: { ...get('/a'), listener: 'idle-downstream', lingerMs: 600 },
      logLines: 1,
    },
    {
      name: 'a downstream connection that sends nothing ends',
      client: { send: [], responses: 0, listener: 'idle-downstream', withinMs: 1_000 },
      logLines: 0,
      takesMs: [150, 900],
    },
    {
      name: 'the last request that a downstream connection may make',
      client: {
        ...raw('GET /a HTTP/1.1\nhost: x.test\n\nGET /a HTTP/1.1\nhost: x.test\n\n', { responses: 2 }),
        listener: 'two-requests',
      },
    },
    {
      name: 'a downstream connection that lived long enough',
      client: {
        send: [...get('/a').send, 250, ...get('/a').send],
        responses: 2,
        lingerMs: 400,
        listener: 'short-life',
      },
      logLines: 2,
    },
    {
      name: 'the client leaves before the answer',
      client: { ...get('/a'), responses: 0, withinMs: 150 },
      upstreams: { a: [{ do: 'hang' }] },
    },
    {
      name: 'the client half-closes and waits',
      client: { send: [...get('/a').send, 30], halfClose: true },
      upstreams: { a: [{ ...reply(200, 'late'), afterMs: 100 } as const] },
    },
  ],
};
