import { http, loopback, type Suite } from '../harness/case.ts';
import { type Exchange, get } from '../harness/client.ts';
import { reply } from '../harness/upstream.ts';

const times = (count: number, exchange: Exchange): readonly Exchange[] =>
  Array.from({ length: count }, () => ({ ...exchange, lingerMs: 0 }));

const endpoint = (upstream: string, more: object = {}) => ({
  endpoint: { address: loopback(`{{${upstream}}}`) },
  ...more,
});
/** A cluster whose endpoints are given in full. */
const cluster = (name: string, endpoints: readonly object[], more: object = {}) => ({
  endpoints: [],
  load_assignment: { cluster_name: name, endpoints },
  ...more,
});

/** Which endpoint is asked. Each upstream answers with its name; what is compared is where every request went. */
export const suite: Suite = {
  name: 'load balancing',
  upstreams: ['a', 'b', 'c', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: {
      one: ['a'],
      empty: [],
      'least-request': { endpoints: ['a'], lb_policy: 'LEAST_REQUEST' },
      priorities: cluster('priorities', [
        { priority: 0, lb_endpoints: [endpoint('a', { health_status: 'UNHEALTHY' })] },
        { priority: 1, lb_endpoints: [endpoint('b')] },
      ]),
      unhealthy: cluster('unhealthy', [{ lb_endpoints: [endpoint('a', { health_status: 'UNHEALTHY' })] }]),
      'no-panic': cluster('no-panic', [{ lb_endpoints: [endpoint('a', { health_status: 'UNHEALTHY' })] }], {
        common_lb_config: { healthy_panic_threshold: { value: 0 } },
      }),
      draining: cluster('draining', [{ lb_endpoints: [endpoint('a', { health_status: 'DRAINING' }), endpoint('b')] }], {
        common_lb_config: { healthy_panic_threshold: { value: 0 } },
      }),
      'localhost-dns': cluster(
        'localhost-dns',
        [
          {
            lb_endpoints: [
              { endpoint: { address: { socket_address: { address: 'localhost', port_value: '{{a}}' } } } },
            ],
          },
        ],
        { type: 'STRICT_DNS', dns_lookup_family: 'V4_ONLY' },
      ),
      'logical-dns': cluster(
        'logical-dns',
        [
          {
            lb_endpoints: [
              { endpoint: { address: { socket_address: { address: 'localhost', port_value: '{{b}}' } } } },
            ],
          },
        ],
        { type: 'LOGICAL_DNS', dns_lookup_family: 'V4_ONLY' },
      ),
    },
    routes: [
      { match: { path: '/one' }, route: { cluster: 'one' } },
      { match: { path: '/empty' }, route: { cluster: 'empty' } },
      { match: { path: '/least-request' }, route: { cluster: 'least-request' } },
      { match: { path: '/priorities' }, route: { cluster: 'priorities' } },
      { match: { path: '/unhealthy' }, route: { cluster: 'unhealthy' } },
      { match: { path: '/no-panic' }, route: { cluster: 'no-panic' } },
      { match: { path: '/draining' }, route: { cluster: 'draining' } },
      { match: { path: '/localhost' }, route: { cluster: 'localhost-dns' } },
      { match: { path: '/logical' }, route: { cluster: 'logical-dns', auto_host_rewrite: true } },
    ],
  }),
  cases: [
    { name: 'least request with one endpoint', client: times(3, get('/least-request')) },
    { name: 'an unhealthy priority is passed over', client: times(3, get('/priorities')) },
    { name: 'everything unhealthy is panic', client: times(2, get('/unhealthy')) },
    { name: 'without panic nobody is asked', client: get('/no-panic') },
    { name: 'a draining endpoint gets nothing new', client: times(3, get('/draining')) },
    { name: 'a name of STRICT_DNS', client: get('/localhost') },
    { name: 'a name of LOGICAL_DNS, and the host rewritten to it', client: get('/logical') },
    { name: 'no endpoints', client: get('/empty') },
    {
      name: 'an endpoint that went away and came back',
      client: get('/one'),
      upstreams: { a: [reply(200, 'here', { connection: 'close' })] },
    },
  ],
};
