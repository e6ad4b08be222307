import { accessLog, type Difference, http, type Suite } from '../harness/case.ts';
import { type Exchange, get, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

/** One line with many operators, each under its own name: values keep their types. */
const FORMAT: { readonly [name: string]: string } = {
  'remote address': '%DOWNSTREAM_REMOTE_ADDRESS%',
  'local address': '%DOWNSTREAM_LOCAL_ADDRESS%',
  'direct local': '%DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT%',
  'direct remote': '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
  'upstream remote': '%UPSTREAM_REMOTE_ADDRESS%',
  'upstream remote alone': '%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  'upstream local alone': '%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%',
  'endpoint name': '%UPSTREAM_HOST_NAME_WITHOUT_PORT%',
  'endpoint ids': '%UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID%',
  tried: '%UPSTREAM_HOSTS_ATTEMPTED%',
  'tried alone': '%UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%',
  'tried names': '%UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT%',
  'request head': '%REQUEST_HEADERS_BYTES%',
  'response trailers': '%RESPONSE_TRAILERS_BYTES%',
  path: '%PATH%',
  'path only': '%PATH(NQ)%',
  'path now': '%PATH(WQ:PATH)%',
  'path before': '%PATH(WQ:ORIG)%',
  'path of either': '%PATH(NQ:ORIG_OR_PATH)%',
  'path cut': '%PATH:5%',
  'query of one': '%QUERY_PARAM(q)%',
  'query of none': '%QUERY_PARAM(none)%',
  'query of r': '%QUERY_PARAM(r)%',
  query: '%QUERY_PARAMS%',
  'query decoded, whole': '%QUERY_PARAMS(DECODED)%',
  stream: '%STREAM_ID%',
  trace: '%TRACE_ID%',
  'virtual cluster': '%VIRTUAL_CLUSTER_NAME%',
  route: '%ROUTE_NAME%',
  grpc: '%GRPC_STATUS%',
  'grpc number': '%GRPC_STATUS_NUMBER%',
  'metadata of the route': '%METADATA(ROUTE:com.test:a)%',
  'metadata of the route, deep': '%METADATA(ROUTE:com.test:deep:b)%',
  'metadata whole': '%METADATA(ROUTE:com.test)%',
  'metadata of the cluster': '%CLUSTER_METADATA(com.test:a)%',
  'metadata of the cluster, too': '%METADATA(CLUSTER:com.test:a)%',
  'metadata of the endpoint': '%UPSTREAM_METADATA(com.test:a)%',
  'metadata of nobody': '%METADATA(ROUTE:none)%',
  'dynamic metadata': '%DYNAMIC_METADATA(com.test)%',
  environment: '%ENVIRONMENT(TOLLWAY_NOT_SET)%',
  status: '%RESPONSE_CODE%',
  'status as text': 's%RESPONSE_CODE%',
  details: '%RESPONSE_CODE_DETAILS%',
  flags: '%RESPONSE_FLAGS%',
  'long flags': '%RESPONSE_FLAGS_LONG%',
  failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  'local body': '%LOCAL_REPLY_BODY%',
  scheme: '%REQ(:SCHEME)%',
  'request header': '%REQUEST_HEADER(X-A?X-B)%',
  'response header': '%RESPONSE_HEADER(X-R)%',
  'response status': '%RESP(:STATUS)%',
  'twice, cut': '%REQ(X-TWICE):6%',
  'log type': '%ACCESS_LOG_TYPE%',
  'server name': '%REQUESTED_SERVER_NAME%',
  'first of several': '%COALESCE({"operators": ["REQUESTED_SERVER_NAME", {"command": "REQ", "param": ":authority"}]})%',
};

const DEEP = { 'com.test': { a: 'x', number: 7, yes: true, deep: { b: 'y', list: [1, 'two'] } } };
const ID = { 'x-request-id': '11111111-2222-4333-8444-555555555555' };
const asked = (path: string): Exchange =>
  get(path, {
    'x-b': 'b',
    'x-twice': '123456789',
    'x-forwarded-for': '203.0.113.9',
    ...ID,
  });

/** Envoy promises every endpoint that was tried, and names the last one that gave a connection. */
const tried = (envoy: string | null, alone: string | null, tollway: string, address: string): Difference => ({
  why: 'every endpoint that was tried is named, as the operator promises',
  at: {
    'accessLog[0].tried': { envoy, tollway },
    'accessLog[0].tried alone': { envoy: alone, tollway: address },
    'accessLog[0].tried names': { envoy: alone, tollway: address },
  },
});

/** What operators of an access log give: for an answer, a local reply, a refused connection, a retried one. */
export const suite: Suite = {
  name: 'access log operators',
  upstreams: ['a', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      a: { endpoints: ['a'], metadata: { filter_metadata: DEEP } },
      refused: ['refused'],
    },
    routes: [
      { match: { path: '/refused' }, route: { cluster: 'refused' } },
      {
        name: 'again',
        match: { path: '/again' },
        route: { cluster: 'a', retry_policy: { retry_on: '5xx', num_retries: 2 } },
      },
      { name: 'missing', match: { path: '/404' }, direct_response: { status: 404, body: { inline_string: 'no' } } },
      { match: { prefix: '/old' }, route: { cluster: 'a', prefix_rewrite: '/new' } },
      { name: 'everything', match: { prefix: '/' }, metadata: { filter_metadata: DEEP }, route: { cluster: 'a' } },
    ],
    manager: { access_log: [accessLog({ json_format: FORMAT })] },
  }),
  cases: [
    { name: 'an answer', client: asked('/path?q=1&r=a%20b&q=2'), upstreams: { a: [reply(200, 'ok', { 'x-r': 'r' })] } },
    { name: 'a local reply', client: asked('/404') },
    { name: 'a rewritten path', client: asked('/old/x?q=1') },
    {
      name: 'a refused connection',
      client: asked('/refused'),
      upstreams: { refused: 'refuse-connections' },
      differs: tried(null, null, '127.0.0.1:<refused>', '127.0.0.1'),
    },
    {
      name: 'a retried answer',
      client: asked('/again'),
      upstreams: { a: [reply(503), reply(200)] },
      differs: tried('127.0.0.1:<a>', '127.0.0.1', '127.0.0.1:<a>,127.0.0.1:<a>', '127.0.0.1,127.0.0.1'),
    },
    {
      name: 'gRPC in trailers only',
      client: post('/grpc', '', { 'content-type': 'application/grpc', ...ID }),
      upstreams: { a: [reply(200, '', { 'content-type': 'application/grpc', 'grpc-status': '5' })] },
    },
    {
      name: 'gRPC that is not answered with gRPC',
      client: post('/grpc', '', { 'content-type': 'application/grpc', ...ID }),
      upstreams: { a: [reply(503, 'no')] },
    },
  ],
};
