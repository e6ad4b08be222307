import { accessLog, http, type Suite } from '../harness/case.ts';
import { get, on, post } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const LINE = { json_format: { path: '%REQ(:PATH)%', status: '%RESPONSE_CODE%' } };
const filtered = (filter: object) => ({ access_log: [accessLog(LINE, { filter })] });
const percent = (numerator: number) => ({ runtime_filter: { runtime_key: 'share', percent_sampled: { numerator } } });
const header = (match: object) => ({ header_filter: { header: { name: 'x-log', ...match } } });
const status = (op: string, value: number) => ({
  status_code_filter: { comparison: { op, value: { default_value: value, runtime_key: `status.${op}` } } },
});

/** Listener to its filter and how many of the seven requests it lets through. */
const FILTERS: { readonly [listener: string]: readonly [filter: object, lines: number] } = {
  'any-flag': [{ response_flag_filter: {} }, 2],
  'no-route': [{ response_flag_filter: { flags: ['NR', 'UF'] } }, 2],
  'not-found': [{ grpc_status_filter: { statuses: ['NOT_FOUND', 'UNAVAILABLE'] } }, 2],
  'not-not-found': [{ grpc_status_filter: { statuses: ['NOT_FOUND'], exclude: true } }, 6],
  ok: [{ grpc_status_filter: { statuses: ['OK'] } }, 0],
  healthy: [{ not_health_check_filter: {} }, 7],
  always: [percent(100), 7],
  never: [percent(0), 0],
  long: [{ duration_filter: { comparison: { op: 'GE', value: { default_value: 60_000, runtime_key: 'long' } } } }, 0],
  short: [{ duration_filter: { comparison: { op: 'LE', value: { default_value: 60_000, runtime_key: 'short' } } } }, 7],
  exact: [header({ string_match: { exact: 'yes' } }), 2],
  without: [header({ present_match: false }), 4],
  inverted: [header({ string_match: { exact: 'yes' }, invert_match: true }), 1],
  nested: [
    {
      or_filter: {
        filters: [{ and_filter: { filters: [status('GE', 400), header({ present_match: true })] } }, status('EQ', 204)],
      },
    },
    3,
  ],
};

/** What access-log filters let through. */
export const suite: Suite = {
  name: 'access log filters',
  upstreams: ['a', 'refused'],
  listener: 'always',
  bootstrap: http({
    clusters: { a: ['a'], refused: ['refused'] },
    routes: [
      { match: { path: '/refused' }, route: { cluster: 'refused' } },
      { match: { prefix: '/a' }, route: { cluster: 'a' } },
    ],
    variants: Object.fromEntries(Object.entries(FILTERS).map(([name, [filter]]) => [name, filtered(filter)])),
  }),
  cases: Object.entries(FILTERS).map(([name, [, logLines]]) => ({
    name,
    client: [
      get('/a/answer'),
      get('/a/error', { 'x-log': 'yes' }),
      get('/a/nothing', { 'x-log': 'no' }),
      post('/a/grpc', '', { 'content-type': 'application/grpc' }),
      post('/a/grpc-without-status', '', { 'content-type': 'application/grpc' }),
      get('/nowhere'),
      get('/refused', { 'x-log': 'yes' }),
    ].map((exchange) => on(name, exchange)),
    upstreams: {
      a: [
        reply(200),
        reply(500),
        reply(204),
        reply(200, '', { 'content-type': 'application/grpc', 'grpc-status': '5' }),
        reply(200, '', { 'content-type': 'application/grpc' }),
      ],
      refused: 'refuse-connections' as const,
    },
    logLines,
  })),
};
