import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepted, CLUSTER, ENDPOINTS, loopback, refused, SECRET, staticCluster, warned } from './decoding.ts';

const TYPE = 'type.googleapis.com/envoy.extensions';
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const named = (address: string) => ({ endpoint: { address: { socket_address: { address, port_value: 80 } } } });
const assignment = (...endpoints: readonly object[]) => ({
  cluster_name: 'c',
  endpoints: [{ lb_endpoints: endpoints }],
});
const options = (value: object) => ({
  typed_extension_protocol_options: { [OPTIONS]: { '@type': `type.googleapis.com/${OPTIONS}`, ...value } },
});
const policy = (name: string, config = {}) => ({
  typed_extension_config: {
    name: 'p',
    typed_config: { '@type': `${TYPE}.load_balancing_policies.${name}`, ...config },
  },
});

test('a cluster has the defaults of Envoy', () => {
  const cluster = accepted(CLUSTER, staticCluster());
  assert.equal(cluster.connectTimeoutMs, 5000);
  assert.deepEqual(cluster.lb, { kind: 'round-robin', slowStart: undefined });
  assert.equal(cluster.panicThresholdPercent, 50);
  assert.equal(cluster.overprovisioningFactor, 140);
  assert.equal(cluster.protocol.kind, 'http1');
  assert.equal(cluster.dns.refreshMs, 5000);
  assert.deepEqual(cluster.thresholds.default, {
    maxConnections: 1024,
    maxPendingRequests: 1024,
    maxRequests: 1024,
    maxRetries: 3,
    retryBudget: undefined,
    trackRemaining: false,
  });
});

test('each way of finding endpoints comes through', () => {
  const kinds = [
    staticCluster(),
    staticCluster({ type: 'STRICT_DNS', load_assignment: assignment(named('a.example'), named('b.example')) }),
    staticCluster({ type: 'LOGICAL_DNS', load_assignment: assignment(named('a.example')) }),
    { name: 'e', type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } },
    { name: 'o', type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' },
  ].map((json) => accepted(CLUSTER, json).discovery);
  assert.deepEqual(
    kinds.map(({ kind }) => kind),
    ['static', 'strict-dns', 'logical-dns', 'eds', 'original-dst'],
  );
  assert.deepEqual(kinds[3], { kind: 'eds', serviceName: 'e', source: { kind: 'ads' } });
});

test('how long to wait for a first answer comes through, and zero is not the default', () => {
  const waits = [{ ads: {} }, { ads: {}, initial_fetch_timeout: '0s' }, { ads: {}, initial_fetch_timeout: '2.5s' }].map(
    (eds_config) => {
      const { discovery } = accepted(CLUSTER, { name: 'e', type: 'EDS', eds_cluster_config: { eds_config } });
      return discovery.kind === 'eds' ? discovery.source.initialFetchTimeoutMs : 'not eds';
    },
  );
  assert.deepEqual(waits, [undefined, 0, 2500]);
});

test('the first load balancing policy that is known is taken', () => {
  const policies = [
    policy('maglev.v3.Maglev'),
    policy('least_request.v3.LeastRequest', { choice_count: 5 }),
    policy('random.v3.Random'),
  ];
  const { lb } = accepted(CLUSTER, staticCluster({ load_balancing_policy: { policies } }));
  assert.deepEqual(lb, { kind: 'least-request', choiceCount: 5, activeRequestBias: 1, slowStart: undefined });
});

test('localities are weighed where the cluster or its policy says so', () => {
  const weighted = (cluster: Parameters<typeof staticCluster>[0]) =>
    accepted(CLUSTER, staticCluster(cluster)).localityWeighted;
  const byLocality = { locality_lb_config: { locality_weighted_lb_config: {} } };
  const inner = { endpoint_picking_policy: { policies: [policy('round_robin.v3.RoundRobin')] } };
  assert.equal(weighted({}), false);
  assert.equal(weighted({ common_lb_config: { locality_weighted_lb_config: {} } }), true);
  for (const [chosen, wanted] of [
    [policy('round_robin.v3.RoundRobin', byLocality), true],
    [policy('random.v3.Random', byLocality), true],
    [policy('wrr_locality.v3.WrrLocality', inner), true],
    [policy('least_request.v3.LeastRequest'), false],
  ] as const) {
    assert.equal(weighted({ load_balancing_policy: { policies: [chosen] } }), wanted);
  }
});

test('thresholds, protocol and socket matches come through', () => {
  const cluster = accepted(
    CLUSTER,
    staticCluster({
      circuit_breakers: {
        thresholds: [{ priority: 'HIGH', max_requests: 7, retry_budget: { budget_percent: { value: 10 } } }],
      },
      ...options({
        use_downstream_protocol_config: {},
        common_http_protocol_options: { max_requests_per_connection: 3 },
      }),
      transport_socket_matches: [
        {
          name: 'tls',
          match: { tlsMode: 'istio' },
          transport_socket: {
            name: 'tls',
            typed_config: {
              '@type': `${TYPE}.transport_sockets.tls.v3.UpstreamTlsContext`,
              sni: 'a',
              common_tls_context: {
                tls_certificate_sds_secret_configs: [
                  {
                    name: 'default',
                    sds_config: {
                      api_config_source: {
                        api_type: 'GRPC',
                        transport_api_version: 'V3',
                        grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
                      },
                    },
                  },
                ],
              },
            },
          },
        },
        {
          name: 'raw',
          match: {},
          transport_socket: {
            name: 'raw',
            typed_config: { '@type': `${TYPE}.transport_sockets.raw_buffer.v3.RawBuffer` },
          },
        },
      ],
    }),
  );
  assert.equal(cluster.thresholds.high.maxRequests, 7);
  assert.deepEqual(cluster.thresholds.high.retryBudget, { percent: 10, minConcurrency: 3 });
  assert.equal(cluster.thresholds.default.maxRequests, 1024);
  assert.equal(cluster.protocol.kind, 'downstream');
  assert.equal(cluster.common.maxRequestsPerConnection, 3);
  const [first, second] = cluster.transportSocketMatches;
  assert.deepEqual(first?.match, { tlsMode: 'istio' });
  assert.ok(first?.transportSocket.kind === 'tls');
  assert.deepEqual(first.transportSocket.tls.common.certificates, [
    { kind: 'sds', name: 'default', source: { kind: 'grpc', cluster: 'sds-grpc', delta: false } },
  ]);
  assert.equal(second?.transportSocket.kind, 'raw');
});

test('outlier detection is left aside with a warning', () => {
  const fields = warned(CLUSTER, staticCluster({ outlier_detection: { consecutive_5xx: 5 } }));
  assert.deepEqual(
    fields.map(({ path }) => path),
    ['outlier_detection'],
  );
});

const CHECK = { timeout: '1s', interval: '5s', healthy_threshold: 2, unhealthy_threshold: 3 };
const checked = (probe: object, more: object = {}) =>
  staticCluster({ health_checks: [{ ...CHECK, ...probe }], ...more });
const HTTP2 = options({ explicit_http_config: { http2_protocol_options: {} } });

test('a health check has the defaults of Envoy', () => {
  assert.deepEqual(accepted(CLUSTER, checked({ http_health_check: { path: '/' } })).healthCheck, {
    timeoutMs: 1000,
    initialJitterMs: 0,
    intervalJitterMs: 0,
    intervalJitterPercent: 0,
    unhealthyThreshold: 3,
    healthyThreshold: 2,
    intervals: {
      healthyMs: 5000,
      healthyEdgeMs: 5000,
      unhealthyMs: 5000,
      unhealthyEdgeMs: 5000,
      noTrafficMs: 60_000,
      noTrafficHealthyMs: 60_000,
    },
    reuseConnection: true,
    probe: {
      kind: 'http',
      host: undefined,
      path: '/',
      method: 'GET',
      http2: false,
      headersToAdd: [],
      headersToRemove: [],
      expectedStatuses: [{ start: 200, end: 201 }],
      retriableStatuses: [],
      send: undefined,
      receive: [],
      bufferBytes: 1024,
      serviceName: undefined,
    },
    alpn: [],
    socketMatch: undefined,
  });
});

test('the pauses of a health check follow one another', () => {
  const intervals = { unhealthy_interval: '3s', no_traffic_interval: '7s' };
  const { healthCheck } = accepted(CLUSTER, checked({ tcp_health_check: {}, ...intervals }));
  assert.deepEqual(healthCheck?.intervals, {
    healthyMs: 5000,
    healthyEdgeMs: 5000,
    unhealthyMs: 3000,
    unhealthyEdgeMs: 3000,
    noTrafficMs: 7000,
    noTrafficHealthyMs: 7000,
  });
});

test('what a health check sends and wants comes through as bytes', () => {
  const tcp = { send: { text: '70696E67' }, receive: [{ binary: 'cG9uZw==' }] };
  assert.deepEqual(accepted(CLUSTER, checked({ tcp_health_check: tcp })).healthCheck?.probe, {
    kind: 'tcp',
    send: 'cGluZw==',
    receive: ['cG9uZw=='],
  });
});

test('a gRPC health check asks for a service by its name', () => {
  const probe = { service_name: 'pay.v1', authority: 'pay' };
  assert.deepEqual(accepted(CLUSTER, checked({ grpc_health_check: probe }, HTTP2)).healthCheck?.probe, {
    kind: 'grpc',
    service: 'pay.v1',
    authority: 'pay',
    metadata: [],
  });
});

const OTHER = { kind: 'socket', host: '10.0.0.9', port: 1 };

test('an endpoint says where its health is asked for', () => {
  const config = (health_check_config: object) => {
    const at = { address: { socket_address: { address: '10.0.0.1', port_value: 80 } }, health_check_config };
    const { discovery } = accepted(CLUSTER, staticCluster({ load_assignment: assignment({ endpoint: at }) }));
    return discovery.kind === 'static' ? discovery.localities[0]?.endpoints[0]?.healthCheck : undefined;
  };
  assert.deepEqual(config({ port_value: 8086, hostname: 'h' }), {
    address: undefined,
    port: 8086,
    hostname: 'h',
    disabled: false,
  });
  assert.deepEqual(
    config({ address: { socket_address: { address: '10.0.0.9', port_value: 1 } }, disable_active_health_check: true }),
    { address: OTHER, port: undefined, hostname: '', disabled: true },
  );
  const both = { address: { socket_address: { address: '10.0.0.9', port_value: 1 } }, port_value: 2 };
  assert.deepEqual(config(both), { address: OTHER, port: 2, hostname: '', disabled: false });
});

test('events of health checks are left aside with a warning', () => {
  const more = { always_log_health_check_failures: true, always_log_health_check_success: true };
  assert.deepEqual(
    warned(CLUSTER, checked({ tcp_health_check: {}, ...more }))
      .map(({ path }) => path)
      .sort(),
    Object.keys(more).map((field) => `health_checks[0].${field}`),
  );
});

test('a value that changes nothing is not warned about', () => {
  assert.deepEqual(warned(CLUSTER, staticCluster({ track_timeout_budgets: false, wait_for_warm_on_init: false })), []);
});

const REFUSALS: readonly (readonly [string, { readonly [key: string]: unknown }, string])[] = [
  [
    'two health checks',
    staticCluster({ health_checks: [1, 2].map(() => ({ ...CHECK, tcp_health_check: {} })) }),
    'health_checks: one health check is made for a cluster, not 2',
  ],
  ['a health check of nothing', checked({}), 'health_checks[0]'],
  [
    'a gRPC health check over HTTP/1.1',
    checked({ grpc_health_check: {} }),
    'health_checks[0].grpc_health_check: payment cluster must support HTTP/2 for gRPC healthchecking',
  ],
  [
    'a health check of its own',
    checked({ custom_health_check: { name: 'x' } }),
    'custom_health_check: is not supported',
  ],
  [
    'a payload that is no hex',
    checked({ tcp_health_check: { send: { text: 'abc' } } }),
    "health_checks[0].tcp_health_check.send.text: invalid hex string 'abc'",
  ],
  [
    'a body for GET',
    checked({ http_health_check: { path: '/', send: { text: '00' } } }),
    "HTTP health check cannot specify a request payload with method 'GET'",
  ],
  [
    'statuses back to front',
    checked({ http_health_check: { path: '/', expected_statuses: [{ start: 300, end: 200 }] } }),
    'expected_statuses[0]: Invalid http expected status range: expecting start < end, but found start=300 and end=200',
  ],
  [
    'statuses that HTTP has not',
    checked({ http_health_check: { path: '/', retriable_statuses: [{ start: 500, end: 700 }] } }),
    'Invalid http retriable status range: expecting end <= 600, but found end=700',
  ],
  [
    'an operator in a header of a health check',
    checked({
      http_health_check: { path: '/', request_headers_to_add: [{ header: { key: 'x', value: '%START_TIME%' } }] },
    }),
    'request_headers_to_add[0].header.value: command operators are not filled in for health checks',
  ],
  [
    'health checks over HTTP/3',
    checked({ http_health_check: { path: '/', codec_client_type: 'HTTP3' } }),
    'codec_client_type: is not supported: HTTP/3 is not built',
  ],
  ['no name', staticCluster({ name: '' }), 'name: value length must be at least 1 characters'],
  ['no time to connect', staticCluster({ connect_timeout: '0s' }), 'connect_timeout: value must be greater than 0 ms'],
  [
    'a name where no DNS is asked',
    staticCluster({ load_assignment: assignment(named('a.example')) }),
    'malformed IP address: a.example',
  ],
  [
    'two endpoints behind one name',
    staticCluster({ type: 'LOGICAL_DNS', load_assignment: assignment(named('a'), named('b')) }),
    'LOGICAL_DNS clusters must have a single',
  ],
  ['EDS from nowhere', { name: 'e', type: 'EDS' }, 'cannot create an EDS cluster without an EDS config'],
  [
    'HTTP/3',
    staticCluster(options({ explicit_http_config: { http3_protocol_options: {} } })),
    'http3_protocol_options: is not supported',
  ],
  ['ring hash', staticCluster({ lb_policy: 'RING_HASH' }), 'RING_HASH is not supported'],
  ['a balancer of its own', staticCluster({ lb_policy: 'CLUSTER_PROVIDED' }), 'CLUSTER_PROVIDED is not supported'],
  [
    'no policy that is known',
    staticCluster({ load_balancing_policy: { policies: [policy('maglev.v3.Maglev')] } }),
    "Didn't find a registered load balancer factory",
  ],
  [
    'subsets',
    staticCluster({ lb_subset_config: { subset_selectors: [{ keys: ['v'] }] } }),
    'lb_subset_config: is not supported',
  ],
  [
    'a custom type',
    { name: 'c', cluster_type: { name: 'envoy.clusters.aggregate' } },
    'cluster_type: is not supported',
  ],
  [
    'an unknown socket',
    staticCluster({
      transport_socket: {
        name: 's',
        typed_config: { '@type': `${TYPE}.transport_sockets.quic.v3.QuicUpstreamTransport` },
      },
    }),
    'Tollway has no upstream transport socket of type',
  ],
  [
    'a range that is out',
    staticCluster({ common_lb_config: { healthy_panic_threshold: { value: 101 } } }),
    'healthy_panic_threshold.value: value must be inside range [0, 100], is 101',
  ],
];

for (const [name, json, expected] of REFUSALS) {
  test(`refuses ${name}`, () => {
    const errors = refused(CLUSTER, json);
    assert.ok(
      errors.some((line) => line.includes(expected)),
      errors.join('\n'),
    );
  });
}

test('an assignment comes through', () => {
  const decoded = accepted(ENDPOINTS, {
    cluster_name: 'c',
    endpoints: [
      {
        locality: { region: 'r', zone: 'z' },
        priority: 1,
        load_balancing_weight: 3,
        lb_endpoints: [
          {
            endpoint: { address: loopback, hostname: 'h' },
            health_status: 'DRAINING',
            load_balancing_weight: 5,
            metadata: { filter_metadata: { 'envoy.lb': { a: [1, 'b', null, true] } } },
          },
        ],
      },
    ],
    policy: {
      overprovisioning_factor: 200,
      drop_overloads: [{ category: 'd', drop_percentage: { numerator: 5, denominator: 'MILLION' } }],
    },
  });
  assert.deepEqual(decoded, {
    clusterName: 'c',
    localities: [
      {
        locality: { region: 'r', zone: 'z', subZone: '' },
        priority: 1,
        weight: 3,
        endpoints: [
          {
            address: { kind: 'socket', host: '127.0.0.1', port: 8080 },
            hostname: 'h',
            health: 'draining',
            weight: 5,
            metadata: { 'envoy.lb': { a: [1, 'b', null, true] } },
          },
        ],
      },
    ],
    overprovisioningFactor: 200,
    endpointStaleAfterMs: undefined,
    drops: [{ category: 'd', numerator: 5, denominator: 1_000_000 }],
  });
});

test('an assignment without a name is refused', () => {
  assert.deepEqual(refused(ENDPOINTS, {}), ['cluster_name: value length must be at least 1 characters']);
});

test('secrets come through', () => {
  const decoded = accepted(SECRET, {
    name: 's',
    tls_certificate: {
      certificate_chain: { filename: '/c' },
      private_key: { inline_string: 'k' },
      watched_directory: { path: '/d' },
    },
  });
  assert.ok(decoded.kind === 'certificate');
  assert.deepEqual(decoded.certificate.certificateChain, { kind: 'file', path: '/c', watchedDirectory: undefined });
  assert.deepEqual(decoded.certificate.privateKey, { kind: 'inline', base64: Buffer.from('k').toString('base64') });
  assert.equal(decoded.certificate.watchedDirectory, '/d');
});

test('a secret of another kind is refused', () => {
  assert.match(
    refused(SECRET, { name: 's', generic_secret: { secret: { inline_string: 'x' } } }).join('\n'),
    /generic_secret: is not supported/,
  );
});
