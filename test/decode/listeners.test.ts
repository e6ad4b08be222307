import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepted, hcm, LISTENER, listener, loopback, refused, router, warned } from './decoding.ts';

const TYPE = 'type.googleapis.com/envoy.extensions';
const inline = { certificate_chain: { inline_string: 'chain' }, private_key: { inline_string: 'key' } };
const tcp = {
  name: 'tcp',
  typed_config: { '@type': `${TYPE}.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: 't', cluster: 'c' },
};

function tls(context: { readonly [key: string]: unknown }, changes: { readonly [key: string]: unknown } = {}) {
  return {
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
        common_tls_context: { tls_certificates: [inline], ...context },
        ...changes,
      },
    },
  };
}

function managerOf(changes: { readonly [key: string]: unknown }) {
  const filter = accepted(LISTENER, listener([hcm(changes)])).filterChains[0]?.filters[0];
  assert.ok(filter?.kind === 'http-connection-manager');
  return filter.config;
}

test('a listener has the defaults of Envoy', () => {
  const decoded = accepted(LISTENER, listener([tcp]));
  assert.equal(decoded.bindToPort, true);
  assert.equal(decoded.listenerFiltersTimeoutMs, 15_000);
  assert.equal(decoded.perConnectionBufferLimitBytes, 1_048_576);
  assert.equal(decoded.enableReusePort, true);
  assert.equal(decoded.filterChains[0]?.transportSocket.kind, 'raw');
});

test('a connection manager has the defaults of Envoy', () => {
  const manager = managerOf({});
  assert.equal(manager.codec, 'auto');
  assert.equal(manager.streamIdleTimeoutMs, 300_000);
  assert.equal(manager.requestTimeoutMs, 0);
  assert.equal(manager.drainTimeoutMs, 5000);
  assert.equal(manager.delayedCloseTimeoutMs, 1000);
  assert.equal(manager.maxRequestHeadersKb, 60);
  assert.equal(manager.common.idleTimeoutMs, 3_600_000);
  assert.equal(manager.common.maxHeadersCount, 100);
  assert.equal(manager.generateRequestId, true);
  assert.equal(manager.forwardClientCert, 'sanitize');
  assert.equal(manager.escapedSlashes, 'keep');
  assert.ok(manager.routes.kind === 'inline');
  assert.equal(manager.routes.config.validateClusters, true);
});

test('tracing, access logs and local replies come through', () => {
  const manager = managerOf({
    tracing: {
      random_sampling: { value: 12.5 },
      custom_tags: [{ tag: 'a', request_header: { name: 'X-A', default_value: '-' } }],
      provider: {
        name: 'otel',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
          grpc_service: { envoy_grpc: { cluster_name: 'collector' }, timeout: '0.250s' },
          service_name: 'payment',
        },
      },
    },
    access_log: [
      {
        name: 'file',
        filter: {
          and_filter: {
            filters: [
              { status_code_filter: { comparison: { op: 'GE', value: { default_value: 500, runtime_key: 'k' } } } },
              { response_flag_filter: { flags: ['NR'] } },
            ],
          },
        },
        typed_config: {
          '@type': `${TYPE}.access_loggers.file.v3.FileAccessLog`,
          path: '/dev/stdout',
          log_format: { json_format: { code: '%RESPONSE_CODE%', nested: { flags: ['%RESPONSE_FLAGS%'] } } },
        },
      },
    ],
    local_reply_config: { body_format: { text_format_source: { inline_string: '%LOCAL_REPLY_BODY%' } } },
  });
  assert.equal(manager.tracing?.randomSampling, 12.5);
  assert.equal(manager.tracing?.clientSampling, 100);
  assert.deepEqual(manager.tracing?.customTags, [
    { tag: 'a', from: { kind: 'request-header', name: 'x-a', fallback: '-' } },
  ]);
  assert.ok(manager.tracing?.provider?.kind === 'otlp-grpc');
  assert.equal(manager.tracing.provider.service.cluster, 'collector');
  assert.equal(manager.tracing.provider.service.timeoutMs, 250);
  assert.deepEqual(manager.accessLogs, [
    {
      name: 'file',
      filter: {
        kind: 'and',
        filters: [
          { kind: 'status', op: 'ge', value: 500, runtimeKey: 'k' },
          { kind: 'response-flag', flags: ['NR'] },
        ],
      },
      sink: {
        kind: 'stdout',
        format: {
          kind: 'json',
          json: { code: '%RESPONSE_CODE%', nested: { flags: ['%RESPONSE_FLAGS%'] } },
          omitEmptyValues: false,
        },
      },
    },
  ]);
  assert.deepEqual(manager.localReply?.bodyFormat, {
    kind: 'text',
    text: '%LOCAL_REPLY_BODY%',
    omitEmptyValues: false,
  });
});

test('chain matches come through', () => {
  const match = {
    destination_port: 8443,
    prefix_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }],
    server_names: ['Pay.example', '*.example'],
    transport_protocol: 'tls',
    application_protocols: ['istio'],
    source_type: 'EXTERNAL',
    source_ports: [1000],
  };
  const decoded = accepted(LISTENER, listener([tcp], {}, { filter_chain_match: match }));
  assert.deepEqual(decoded.filterChains[0]?.match, {
    destinationPort: 8443,
    prefixRanges: [{ address: '10.0.0.0', prefixLength: 8 }],
    serverNames: ['pay.example', '*.example'],
    transportProtocol: 'tls',
    applicationProtocols: ['istio'],
    directSourcePrefixRanges: [],
    sourceType: 'external',
    sourcePrefixRanges: [],
    sourcePorts: [1000],
  });
});

test('client certificates are asked for as the context says', () => {
  const sds = { name: 'ROOTCA', sds_config: { ads: {} } };
  const context = {
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://mesh/' } }],
      },
      validation_context_sds_secret_config: sds,
    },
    tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
  };
  const chain = accepted(LISTENER, listener([tcp], {}, tls(context, { require_client_certificate: true })))
    .filterChains[0];
  assert.ok(chain?.transportSocket.kind === 'tls');
  const { common, requireClientCertificate } = chain.transportSocket.tls;
  assert.equal(requireClientCertificate, true);
  assert.equal(common.minVersion, 'TLSv1.2');
  assert.ok(common.validation?.kind === 'sds');
  assert.equal(common.validation.name, 'ROOTCA');
  assert.deepEqual(common.validation.defaults?.sanMatches, [
    { type: 'uri', match: { kind: 'prefix', value: 'spiffe://mesh/', ignoreCase: false } },
  ]);
});

test('protocols that are not spoken are not offered', () => {
  const json = listener([tcp], {}, tls({ alpn_protocols: ['istio-peer-exchange', 'h2', 'http/1.1'] }));
  const chain = accepted(LISTENER, json).filterChains[0];
  assert.ok(chain?.transportSocket.kind === 'tls');
  assert.deepEqual(chain.transportSocket.tls.common.alpnProtocols, ['h2', 'http/1.1']);
  assert.equal(warned(LISTENER, json).length, 1);
});

test('a listener filter knows where it is left out', () => {
  const filter = {
    name: 'tls',
    typed_config: { '@type': `${TYPE}.filters.listener.tls_inspector.v3.TlsInspector` },
    filter_disabled: {
      or_match: { rules: [{ destination_port_range: { start: 1, end: 5 } }, { not_match: { any_match: true } }] },
    },
  };
  const decoded = accepted(LISTENER, listener([tcp], { listener_filters: [filter] }));
  assert.deepEqual(decoded.listenerFilters[0]?.disabledWhen, {
    kind: 'or',
    rules: [
      { kind: 'destination-port', from: 1, to: 5 },
      { kind: 'not', rule: { kind: 'any' } },
    ],
  });
});

const http = (type: string, changes = {}) => ({
  name: 'f',
  typed_config: { '@type': `${TYPE}.filters.http.${type}` },
  ...changes,
});

test('filters that only observe are left aside', () => {
  const stats = { name: 'istio.stats', typed_config: { '@type': 'type.googleapis.com/stats.PluginConfig' } };
  const manager = managerOf({ http_filters: [stats, router] });
  assert.deepEqual(
    manager.httpFilters.map(({ name }) => name),
    ['envoy.filters.http.router'],
  );
});

test('a filter that may be missing is left aside', () => {
  const json = listener([hcm({ http_filters: [http('rbac.v3.RBAC', { is_optional: true }), router] })]);
  assert.deepEqual(
    warned(LISTENER, json).map(({ field, path }) => [field, path]),
    [
      [
        'envoy.extensions.filters.http.rbac.v3.RBAC',
        'filter_chains[0].filters[0].typed_config.http_filters[0].typed_config',
      ],
    ],
  );
});

const socket = (name: string) => ({
  transport_socket: { name: 's', typed_config: { '@type': `${TYPE}.transport_sockets.${name}` } },
});

const REFUSALS: readonly (readonly [string, { readonly [key: string]: unknown }, string])[] = [
  ['no address', { name: 'a', filter_chains: [{ filters: [tcp] }] }, 'address: address is necessary'],
  [
    'an address that is a name',
    listener([tcp], { address: { socket_address: { address: 'localhost', port_value: 1 } } }),
    'malformed IP address: localhost',
  ],
  [
    'a port out of range',
    listener([tcp], { address: { socket_address: { address: '127.0.0.1', port_value: 70_000 } } }),
    'address.socket_address.port_value: value must be less than or equal to 65535',
  ],
  [
    'a mode of an abstract socket',
    listener([tcp], { address: { pipe: { path: '@l', mode: 0o600 } } }),
    'address.pipe.mode: Cannot set mode for Abstract AF_UNIX sockets',
  ],
  [
    'UDP',
    listener([tcp], { address: { socket_address: { address: '127.0.0.1', port_value: 1, protocol: 'UDP' } } }),
    'UDP is not built',
  ],
  ['no chain', { name: 'a', address: loopback }, 'no filter chains specified'],
  [
    'chains that match the same',
    {
      name: 'a',
      address: loopback,
      filter_chains: [
        { name: 'x', filters: [tcp] },
        { name: 'y', filters: [tcp] },
      ],
    },
    "filter chain 'y' has the same matching rules defined as 'x'",
  ],
  [
    'a partial wildcard',
    listener([tcp], {}, { filter_chain_match: { server_names: ['a*.com'] } }),
    'partial wildcards are not supported',
  ],
  ['a filter after the last', listener([tcp, tcp]), 'terminal filter named tcp'],
  [
    'a connection manager without router',
    listener([hcm({ http_filters: [http('cors.v3.Cors')] })]),
    'non-terminal filter named f',
  ],
  ['a connection manager without filters', listener([hcm({ http_filters: [] })]), 'http filter chain has no filter'],
  [
    'a filter that guards',
    listener([hcm({ http_filters: [http('rbac.v3.RBAC'), router] })]),
    'http filter "f" is not supported: requests would pass that it is there to stop',
  ],
  [
    'a filter nobody knows',
    listener([hcm({ http_filters: [http('made.up.v3.Thing'), router] })]),
    'Tollway has no http filter of type "envoy.extensions.filters.http.made.up.v3.Thing"',
  ],
  [
    'an empty stat_prefix',
    listener([hcm({ stat_prefix: '' })]),
    'stat_prefix: value length must be at least 1 characters',
  ],
  [
    'the address of the caller as our own',
    listener([tcp], {
      listener_filters: [
        { name: 'p', typed_config: { '@type': `${TYPE}.filters.listener.original_src.v3.OriginalSrc` } },
      ],
    }),
    'listener filter "p" is not supported',
  ],
  [
    'a transport socket nobody knows',
    listener([tcp], {}, socket('tap.v3.Tap')),
    'Tollway has no downstream transport socket of type',
  ],
  [
    'an upstream context on a listener',
    listener([tcp], {}, socket('tls.v3.UpstreamTlsContext')),
    'Tollway has no downstream transport socket of type',
  ],
  [
    'a server without certificate',
    listener([tcp], {}, tls({ tls_certificates: [] })),
    'No TLS certificates found for server context',
  ],
  [
    'TLS 1.0',
    listener([tcp], {}, tls({ tls_params: { tls_minimum_protocol_version: 'TLSv1_0' } })),
    'TLSv1_0 is not supported',
  ],
  [
    'names without a CA',
    listener(
      [tcp],
      {},
      tls({ validation_context: { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: 'a' } }] } }),
    ),
    'SAN-based verification of peer certificates without trusted CA is insecure',
  ],
  [
    'a hash that is none',
    listener(
      [tcp],
      {},
      tls({ validation_context: { trusted_ca: { inline_string: 'x' }, verify_certificate_hash: ['zz'.repeat(32)] } }),
    ),
    'Invalid hex-encoded SHA-256',
  ],
  [
    'fixed ticket keys',
    listener([tcp], {}, tls({}, { session_ticket_keys: { keys: [{ inline_string: 'x' }] } })),
    'session_ticket_keys: is not supported',
  ],
  [
    'xDS of version 2',
    listener([
      hcm({
        route_config: undefined,
        rds: {
          route_config_name: 'r',
          config_source: {
            api_config_source: { api_type: 'GRPC', grpc_services: [{ envoy_grpc: { cluster_name: 'x' } }] },
          },
        },
      }),
    ]),
    'V2 xDS transport protocol version is deprecated',
  ],
];

for (const [name, json, expected] of REFUSALS) {
  test(`refuses ${name}`, () => {
    const errors = refused(LISTENER, json);
    assert.ok(
      errors.some((line) => line.includes(expected)),
      errors.join('\n'),
    );
  });
}

test('a control plane cannot have TLS keys written down', () => {
  const chain = { filters: [tcp], ...tls({ key_log: { path: '/tmp/keys' } }) };
  const resource = { name: 'l', address: loopback, filter_chains: [chain] };
  const [only, ...others] = warned(LISTENER, resource);
  assert.match(only?.field ?? '', /CommonTlsContext\.key_log$/);
  assert.deepEqual(others, []);
  const socket = accepted(LISTENER, resource).filterChains[0]?.transportSocket;
  assert.ok(socket?.kind === 'tls');
  assert.equal(socket.tls.common.keyLog, undefined);
});
