import { accessLog, http, type Suite } from '../harness/case.ts';
import { type Exchange, get, on, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const text = (format: string, more: object = {}) => ({
  access_log: [accessLog({ text_format_source: { inline_string: `${format}\n` }, ...more })],
});
const filtered = (filter: object) => ({
  access_log: [accessLog({ text_format_source: { inline_string: '%REQ(:PATH)% %RESPONSE_CODE%\n' } }, { filter })],
});
const status = (op: string, value: number) => ({
  status_code_filter: { comparison: { op, value: { default_value: value, runtime_key: `log.${op}` } } },
});
const header = (name: string) => ({ header_filter: { header: { name, present_match: true } } });

const OPERATORS: { readonly [listener: string]: string } = {
  request: '%REQ(:METHOD)% %REQ(X-A?X-B)% [%REQ(X-LONG):5%] %REQ(X-NONE)% %REQ(:SCHEME)% %REQ(:AUTHORITY)%',
  response: '%RESP(X-R)% %RESP(X-NONE?X-R):2% %TRAILER(X-T)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS%',
  sizes: '%BYTES_RECEIVED% %BYTES_SENT%',
  addresses:
    '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_PROTOCOL%',
  names: '%ROUTE_NAME% %VIRTUAL_CLUSTER_NAME% %FILTER_CHAIN_NAME% %UPSTREAM_CLUSTER_RAW%',
  absent:
    '%DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TLS_VERSION% %REQUESTED_SERVER_NAME% %CONNECTION_TERMINATION_DETAILS% %DYNAMIC_METADATA(a:b)% %FILTER_STATE(x)%',
  more: '%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %PROTOCOL% %ACCESS_LOG_TYPE%',
  percent: '100%% %REQ(:PATH)%',
};

const FULL = { a: [reply(200, 'body', { 'x-r': 'value', 'content-type': 'text/plain' })] };
const asked = (listener: string): Exchange =>
  on(
    listener,
    post('/path?q=1', 'twelve bytes', { 'x-b': 'b', 'x-long': '1234567890', 'x-forwarded-for': '203.0.113.9' }),
  );

/** Access log formats, their operators and filters. */
export const suite: Suite = {
  name: 'access logs',
  upstreams: ['a', 'refused'],
  listener: 'request',
  bootstrap: http({
    clusters: { a: ['a'], refused: { endpoints: ['refused'], alt_stat_name: 'other' } },
    routes: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          virtual_clusters: [{ name: 'virtual', headers: [{ name: ':path', string_match: { prefix: '/path' } }] }],
          routes: [
            { name: 'refused', match: { path: '/refused' }, route: { cluster: 'refused' } },
            { name: 'missing', match: { path: '/404' }, direct_response: { status: 404 } },
            { name: 'everything', match: { prefix: '/' }, route: { cluster: 'a' } },
          ],
        },
      ],
    },
    variants: {
      ...Object.fromEntries(Object.entries(OPERATORS).map(([name, format]) => [name, text(format)])),
      omitted: text('%REQ(X-NONE)%|%REQ(:PATH)%|%RESPONSE_FLAGS%', { omit_empty_values: true }),
      'json-types': {
        access_log: [
          accessLog({
            json_format: {
              number: '%RESPONSE_CODE%',
              text: 'status %RESPONSE_CODE%',
              none: '%REQ(X-NONE)%',
              nested: { sent: '%BYTES_SENT%', list: ['%PROTOCOL%', 'plain'] },
              constant: 7,
              quote: '%REQ(X-QUOTE)%',
            },
          }),
        ],
      },
      'json-omit': {
        access_log: [
          accessLog({ json_format: { none: '%REQ(X-NONE)%', path: '%REQ(:PATH)%' }, omit_empty_values: true }),
        ],
      },
      errors: filtered(status('GE', 500)),
      exactly: filtered(status('EQ', 404)),
      less: filtered(status('LE', 299)),
      flagged: filtered({ response_flag_filter: { flags: ['UF', 'UH'] } }),
      headed: filtered(header('x-log')),
      both: filtered({ and_filter: { filters: [header('x-log'), status('GE', 400)] } }),
      either: filtered({ or_filter: { filters: [header('x-log'), status('GE', 400)] } }),
    },
  }),
  cases: [
    ...Object.keys(OPERATORS).map((name) => ({ name, client: asked(name), upstreams: FULL })),
    {
      name: 'trailers',
      client: asked('response'),
      upstreams: {
        a: [
          {
            do: 'send',
            bytes:
              'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-r: value\r\n\r\n2\r\nok\r\n0\r\nx-t: trailer\r\n\r\n',
          },
        ],
      },
    },
    ...['addresses', 'names', 'more', 'absent'].map((name) => ({
      name: `${name} of a refused connection`,
      client: on(name, get('/refused')),
      upstreams: { refused: 'refuse-connections' as const },
    })),
    { name: 'empty values are left out', client: asked('omitted') },
    { name: 'types of JSON', client: on('json-types', get('/', { 'x-quote': 'a "quoted" \\ value' })) },
    { name: 'JSON without empty values', client: on('json-omit', get('/')) },
    { name: 'status at least: no', client: on('errors', get('/404')), logLines: 0 },
    { name: 'status at least: yes', client: on('errors', get('/')), upstreams: { a: [reply(503)] } },
    { name: 'status equal', client: [on('exactly', get('/')), on('exactly', get('/404'))], logLines: 1 },
    { name: 'status at most', client: [on('less', get('/404')), on('less', get('/'))], logLines: 1 },
    {
      name: 'response flags',
      client: [on('flagged', get('/')), on('flagged', get('/refused'))],
      upstreams: { refused: 'refuse-connections' },
      logLines: 1,
    },
    { name: 'a header', client: [on('headed', get('/no')), on('headed', get('/yes', { 'x-log': '1' }))], logLines: 1 },
    {
      name: 'and',
      client: [on('both', get('/', { 'x-log': '1' })), on('both', get('/404', { 'x-log': '1' }))],
      logLines: 1,
    },
    { name: 'or', client: [on('either', get('/')), on('either', get('/404'))], logLines: 1 },
  ],
};
