import { accessLog, http, type Suite } from '../harness/case.ts';
import { get, on } from '../harness/client.ts';

/** Ids whose fifteenth character says what was decided: nothing, sampled, forced by the service, asked for by the client. */
const id = (mark: string, start = '11111111') => ({ 'x-request-id': `${start}-2222-${mark}333-8444-555555555555` });

/** Which requests are traced, and what the request id tells the next hop of it. No spans: nobody gets them here. */
export const suite: Suite = {
  name: 'tracing decisions',
  upstreams: ['a'],
  listener: 'everything',
  bootstrap: http({
    clusters: { a: ['a'] },
    routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
    manager: {
      internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] },
      access_log: [accessLog({ json_format: { status: '%RESPONSE_CODE%', trace: '%TRACE_ID%' } })],
    },
    variants: {
      everything: { tracing: {} },
      nothing: { tracing: { random_sampling: { value: 0 } } },
      part: { tracing: { random_sampling: { value: 50 } } },
      less: { tracing: { overall_sampling: { value: 0 } } },
      logged: {
        tracing: { random_sampling: { value: 50 } },
        access_log: [accessLog({ json_format: { path: '%REQ(:PATH)%' } }, { filter: { traceable_filter: {} } })],
      },
      unlogged: {
        access_log: [accessLog({ json_format: { path: '%REQ(:PATH)%' } }, { filter: { traceable_filter: {} } })],
      },
      client: { tracing: { random_sampling: { value: 0 }, client_sampling: { value: 100 } } },
      none: {},
      'edge-none': { use_remote_address: true, preserve_external_request_id: true },
      edge: { tracing: {}, use_remote_address: true, preserve_external_request_id: true },
    },
  }),
  cases: [
    ...['everything', 'nothing', 'less', 'none', 'edge', 'edge-none'].flatMap((listener) =>
      ['4', '9', 'a', 'b', '1'].map((mark) => ({
        name: `${listener}: an id that says ${mark}`,
        client: on(listener, get('/', id(mark))),
      })),
    ),
    {
      name: 'a filter lets through what the service forces',
      client: [
        on('logged', get('/by-field', { ...id('4'), 'x-forwarded-for': '10.0.0.1', 'x-envoy-force-trace': 'true' })),
        on('logged', get('/by-id', id('a'))),
        on('logged', get('/sampled', id('9'))),
        on('logged', get('/asked-for', id('b'))),
        on('logged', get('/drawn', id('4'))),
      ],
      logLines: 2,
    },
    { name: 'a filter lets nothing through without tracing', client: on('unlogged', get('/', id('a'))), logLines: 0 },
    { name: 'no id', client: get('/') },
    { name: 'an id that is no UUID', client: get('/', { 'x-request-id': '11111111-nonsense' }) },
    { name: 'part: the lot is low', client: on('part', get('/', id('4', '11111110'))) },
    ...['everything', 'nothing', 'client', 'less', 'none'].flatMap((listener) => [
      {
        name: `${listener}: forced`,
        client: on(listener, get('/', { ...id('4'), 'x-forwarded-for': '10.0.0.1', 'x-envoy-force-trace': 'true' })),
      },
      {
        name: `${listener}: asked for by the client`,
        client: on(listener, get('/', { ...id('4'), 'x-client-trace-id': 'mine' })),
      },
    ]),
    {
      name: 'a traceparent goes on',
      client: get('/', {
        ...id('4'),
        tracestate: 'a=b',
      }),
    },
  ],
};
