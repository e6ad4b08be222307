import { type Case, countedApart, http, httpOptions, loopback, type Suite } from '../harness/case.ts';
import { FILES, server, tlsContext, upstreamTls } from '../harness/certificates.ts';
import { get } from '../harness/client.ts';
import { reply, type Send } from '../harness/upstream.ts';

const ONCE = { timeout: '5s', interval: '60s', unhealthy_threshold: 2, healthy_threshold: 2 };
const HEALTHZ = { http_health_check: { path: '/healthz?deep=1' } };
const HTTP2 = httpOptions({}, { http2_protocol_options: {} });
const GRPC = { grpc_health_check: { service_name: 'pay.v1' } };
const hex = (text: string) => ({ text: Buffer.from(text).toString('hex') });

const endpoint = (upstream: string, health_check_config?: object) => ({
  endpoint: { address: loopback(`{{${upstream}}}`), ...(health_check_config && { health_check_config }) },
});
const named = (upstream: string) => ({
  endpoint: { address: { socket_address: { address: 'localhost', port_value: `{{${upstream}}}` } } },
});
/** A cluster that is checked once, of priorities of endpoints. */
const checked = (
  name: string,
  priorities: readonly (readonly (string | object)[])[],
  probe: object = HEALTHZ,
  more: object = {},
) => ({
  endpoints: [],
  load_assignment: {
    cluster_name: name,
    endpoints: priorities.map((upstreams, priority) => ({
      priority,
      lb_endpoints: upstreams.map((upstream) => (typeof upstream === 'string' ? endpoint(upstream) : upstream)),
    })),
  },
  health_checks: [{ ...ONCE, ...probe }],
  ...more,
});
const NO_PANIC = { common_lb_config: { healthy_panic_threshold: { value: 0 } } };

const grpcStatus = (status: number): Send => ({
  do: 'send',
  bytes:
    'HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n' +
    `7\r\n\0\0\0\0\x02\x08${String.fromCharCode(status)}\r\n0\r\ngrpc-status: 0\r\n\r\n`,
});

const CLUSTERS = {
  http: checked('http', [['well', 'ill']]),
  h2: checked('h2', [['well2', 'ill2']], { http_health_check: { path: '/h2', codec_client_type: 'HTTP2' } }, HTTP2),
  grpc: checked('grpc', [['serving', 'stopping']], GRPC, HTTP2),
  tcp: checked('tcp', [['ill']], { tcp_health_check: {} }, NO_PANIC),
  'tcp-bytes': checked('tcp-bytes', [['talks', 'other']], {
    tcp_health_check: { send: hex('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), receive: [hex('200'), hex('talks')] },
    timeout: '1s',
  }),
  tls: checked('tls', [['secure']], HEALTHZ, {
    transport_socket: upstreamTls(tlsContext('client', {})),
  }),
  // The certificate's chain ends nowhere: nobody is asked.
  untrusted: checked('untrusted', [['strange']], HEALTHZ, {
    transport_socket: upstreamTls(tlsContext('client', {})),
    ...NO_PANIC,
  }),
  panic: checked('panic', [['ill']]),
  'no-panic': checked('no-panic', [['ill']], HEALTHZ, NO_PANIC),
  unchecked: checked('unchecked', [[endpoint('ill', { disable_active_health_check: true })]], HEALTHZ, NO_PANIC),
  elsewhere: checked(
    'elsewhere',
    [[endpoint('ill', { port_value: '{{well}}', hostname: 'pay.test' })]],
    HEALTHZ,
    NO_PANIC,
  ),
  'second-priority': checked('second-priority', [['ill'], ['well']]),
  'degraded-last': checked('degraded-last', [['tired', 'ill']]),
  excluded: checked('excluded', [['leaving', 'well']]),
  'well-and-leaving': checked('well-and-leaving', [['leaving200']], HEALTHZ, NO_PANIC),
  retriable: checked(
    'retriable',
    [['ill']],
    { http_health_check: { path: '/', retriable_statuses: [{ start: 500, end: 600 }] } },
    NO_PANIC,
  ),
  head: checked('head', [['well']], { http_health_check: { path: '/', method: 'HEAD' } }, NO_PANIC),
  'fresh-connection': checked('fresh-connection', [['well']], { ...HEALTHZ, reuse_connection: false }, NO_PANIC),
  wrong: checked('wrong', [['wrong']], HEALTHZ, NO_PANIC),
  silent: checked('silent', [['silent']], { ...HEALTHZ, timeout: '0.2s' }, NO_PANIC),
  statuses: checked('statuses', [['ill']], {
    http_health_check: { path: '/', expected_statuses: [{ start: 500, end: 600 }] },
  }),
  body: checked('body', [['well', 'named']], { http_health_check: { path: '/', receive: [hex('we'), hex('ll')] } }),
  service: checked('service', [['well', 'named']], {
    http_health_check: { path: '/', service_name_matcher: { prefix: 'pay' } },
  }),
  'strict-dns': checked('strict-dns', [[named('ill')]], HEALTHZ, {
    type: 'STRICT_DNS',
    dns_lookup_family: 'V4_ONLY',
    common_lb_config: { ignore_new_hosts_until_first_hc: true },
  }),
  'logical-dns': checked('logical-dns', [[named('ill')]], HEALTHZ, {
    type: 'LOGICAL_DNS',
    dns_lookup_family: 'V4_ONLY',
    ...NO_PANIC,
  }),
  leaves: checked('leaves', [['gone']], HEALTHZ, NO_PANIC),
  'leaves-others': checked('leaves-others', [['gone'], ['well']]),
  request: checked('request', [['asked']], {
    http_health_check: {
      path: '/ask',
      host: 'configured.test',
      method: 'POST',
      send: hex('how are you'),
      request_headers_to_add: [
        { header: { key: 'x-one', value: '1%%' } },
        { header: { key: 'user-agent', value: 'mine' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
      ],
    },
  }),
  'grpc-request': checked(
    'grpc-request',
    [['asked2']],
    { grpc_health_check: { authority: 'grpc.test', initial_metadata: [{ header: { key: 'x-meta', value: 'm' } }] } },
    HTTP2,
  ),
};

const times = (count: number, name: string): Case['client'] =>
  Array.from({ length: count }, () => ({ ...get(`/${name}`), lingerMs: 0 }));
const asks = (what: string, name: keyof typeof CLUSTERS, count = 3): Case => ({
  name: what,
  client: times(count, name),
});

/** Active health checks: what is asked, and who gets requests after it. Each endpoint is checked once, before the first request. */
export const suite: Suite = {
  name: 'health checks',
  upstreams: [
    ...['well', 'ill', 'well2', 'ill2', 'serving', 'stopping', 'secure', 'strange', 'tired', 'leaving', 'silent'],
    ...['named', 'asked', 'asked2', 'talks', 'other', 'gone', 'leaving200', 'wrong'],
  ],
  upstreamHttp2: ['well2', 'ill2', 'serving', 'stopping', 'asked2'],
  upstreamTls: { secure: { cert: server.chain, key: server.key } },
  files: FILES,
  atStart: {
    ill: [reply(503, 'ill')],
    ill2: [reply(503, 'ill')],
    serving: [grpcStatus(1)],
    stopping: [grpcStatus(2)],
    asked2: [grpcStatus(1)],
    tired: [reply(200, 'tired', { 'x-envoy-degraded': '' })],
    leaving: [reply(503, 'leaving', { 'x-envoy-immediate-health-check-fail': '1' })],
    leaving200: [reply(200, 'leaving', { 'x-envoy-immediate-health-check-fail': '1' })],
    wrong: [{ do: 'send', bytes: 'SSH-2.0-x\r\n' }],
    silent: [{ do: 'hang' }],
    named: [reply(200, 'named', { 'x-envoy-upstream-healthchecked-cluster': 'pay-v2' })],
  },
  listener: 'ingress',
  bootstrap: http({
    clusters: CLUSTERS,
    routes: Object.keys(CLUSTERS).map((cluster) => ({ match: { path: `/${cluster}` }, route: { cluster } })),
  }),
  cases: [
    { ...asks('what an endpoint is asked', 'request', 1), sinceStart: ['asked', 'asked2'] },
    asks('an endpoint that answers badly gets nothing', 'http'),
    asks('the same over HTTP/2', 'h2'),
    asks('an endpoint that says NOT_SERVING gets nothing', 'grpc'),
    asks('a connection is enough for TCP', 'tcp', 2),
    asks('bytes that come back for TCP', 'tcp-bytes', 2),
    asks('over TLS', 'tls', 1),
    asks('an endpoint that is not who it should be', 'untrusted', 1),
    asks('everything unhealthy is panic', 'panic', 2),
    asks('without panic nobody is asked', 'no-panic', 2),
    asks('an endpoint without checks is healthy', 'unchecked', 1),
    asks('health is asked for elsewhere', 'elsewhere', 1),
    asks('the next priority takes over', 'second-priority'),
    asks('a degraded endpoint is better than none', 'degraded-last'),
    asks('an endpoint that asks to be left alone', 'excluded'),
    {
      name: 'an answer to a request that asks for the same',
      client: [get('/leaves'), { ...get('/leaves'), send: [150, ...get('/leaves').send] }],
      upstreams: { gone: [reply(200, 'gone', { 'x-envoy-immediate-health-check-fail': '1' })] },
    },
    {
      name: 'where nobody else is well, the next priority',
      client: [get('/leaves-others'), { ...get('/leaves-others'), send: [150, ...get('/leaves-others').send] }],
      upstreams: { gone: [reply(500, 'gone', { 'x-envoy-immediate-health-check-fail': '' })] },
    },
    asks('an endpoint by its name', 'strict-dns', 1),
    asks('one endpoint by its name', 'logical-dns', 1),
    asks('one that is well and asks for it', 'well-and-leaving', 1),
    asks('a retriable status in the first check', 'retriable', 1),
    asks('a check by HEAD', 'head', 1),
    asks('a check that keeps no connection', 'fresh-connection', 1),
    asks('an endpoint that speaks something else', 'wrong', 1),
    asks('an endpoint that does not answer', 'silent', 1),
    asks('other statuses may be good', 'statuses', 1),
    asks('the body tells', 'body'),
    asks('the service tells its name', 'service'),
    asks('metadata of a gRPC check', 'grpc-request', 1),
  ],
  statsDiffer: countedApart('what Envoy’s TLS and HTTP/2 libraries count; sessions are not shared between threads', [
    'cluster.tls.ssl.sigalgs.*',
    'cluster.tls.ssl.session_reused',
    ...['h2', 'grpc', 'grpc-request'].map((name) => `cluster.${name}.http2.nghttp2_upstream_connections`),
  ]),
};
