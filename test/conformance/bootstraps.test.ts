/** `--mode validate` of both proxies over a table of bootstraps: what the one takes the other takes. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, test } from 'node:test';
import { http, httpManager, loopback, typeUrl } from './harness/case.ts';
import { findEnvoy } from './harness/proxies.ts';

const MAIN = resolve(import.meta.dirname, '../../bin/tollway.js');
const ROUTE = { match: { prefix: '/' }, route: { cluster: 'a' } };
const good = (wishes: Partial<Parameters<typeof http>[0]> = {}) =>
  http({ clusters: { a: [] }, routes: [ROUTE], ...wishes });
const routes = (...list: readonly object[]) => good({ routes: list });
const manager = (more: object) => good({ manager: more });
const cluster = (more: object) => good({ clusters: { a: { endpoints: [], ...more } } });
const chains = (...list: readonly object[]) => good({ listener: { filter_chains: list } });
const CHECK = { timeout: '1s', interval: '1s', unhealthy_threshold: 1, healthy_threshold: 1 };
const checks = (probe: object, more: object = {}) => cluster({ health_checks: [{ ...CHECK, ...probe }], ...more });
const httpCheck = (more: object) => checks({ http_health_check: { path: '/', ...more } });
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const protocol = (options: object) => ({
  typed_extension_protocol_options: { [OPTIONS]: { '@type': typeUrl(OPTIONS), ...options } },
});
const asked = (health_check_config: object) =>
  cluster({
    load_assignment: {
      cluster_name: 'a',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(1), health_check_config } }] }],
    },
  });
const filters = [httpManager('x', { routes: [ROUTE] })];

interface Row {
  readonly bootstrap: object | string;
  /** Whether Envoy takes it. */
  readonly taken: boolean;
  /** Where Tollway differs on purpose: why. */
  readonly differs?: string;
  /** Of a bootstrap that Tollway refuses: what its message must say. */
  readonly says?: RegExp;
}

const ROWS: { readonly [name: string]: Row } = {
  'a whole one': { bootstrap: good(), taken: true },
  'an empty one': { bootstrap: {}, taken: true },
  YAML: { bootstrap: 'admin:\n  address:\n    socket_address: {address: 127.0.0.1, port_value: 0}\n', taken: true },
  'YAML that is broken': { bootstrap: 'admin: [', taken: false },
  'a list': { bootstrap: '[]', taken: false },
  'an unknown field at the top': { bootstrap: { ...good(), wishes: 1 }, taken: false, says: /wishes/ },
  'an unknown field within': { bootstrap: manager({ stat_prefixx: 'x' }), taken: false, says: /stat_prefixx/ },
  'a text where a number belongs': {
    bootstrap: cluster({ per_connection_buffer_limit_bytes: 'much' }),
    taken: false,
    says: /per_connection_buffer_limit_bytes/,
  },
  'a number in quotes': { bootstrap: cluster({ per_connection_buffer_limit_bytes: '1024' }), taken: true },
  'a negative number of unsigned': {
    bootstrap: cluster({ per_connection_buffer_limit_bytes: -1 }),
    taken: false,
    says: /per_connection_buffer_limit_bytes/,
  },
  'a duration without its unit': {
    bootstrap: cluster({ connect_timeout: '1' }),
    taken: false,
    says: /connect_timeout/,
  },
  'a negative duration': { bootstrap: cluster({ connect_timeout: '-1s' }), taken: false, says: /connect_timeout/ },
  'an unknown enum': { bootstrap: cluster({ lb_policy: 'FASTEST' }), taken: false, says: /lb_policy/ },
  'an unknown extension': {
    bootstrap: good({ filters: [{ name: 'x', typed_config: { '@type': typeUrl('acme.Filter') } }] }),
    taken: false,
    says: /acme\.Filter/,
  },
  camelCase: { bootstrap: cluster({ lbPolicy: 'RANDOM', respectDnsTtl: true }), taken: true },
  'a field under both its names': {
    bootstrap: cluster({ connectTimeout: '2s' }),
    taken: true,
    differs: 'Envoy takes one of the two; which one the author meant cannot be told',
    says: /set twice/,
  },
  'a listener without an address': {
    bootstrap: { static_resources: { listeners: [{ name: 'l', filter_chains: [{ filters }] }] } },
    taken: false,
  },
  'a listener without chains': { bootstrap: chains(), taken: false },
  'two listeners of one name': {
    bootstrap: {
      static_resources: {
        listeners: [1, 2].map((port) => ({ name: 'l', address: loopback(port), filter_chains: [{ filters }] })),
        clusters: [],
      },
    },
    taken: false,
  },
  'two clusters of one name': {
    bootstrap: { static_resources: { clusters: [1, 2].map(() => ({ name: 'a', connect_timeout: '1s' })) } },
    taken: false,
  },
  'two chains with one match': { bootstrap: chains({ filters }, { filters }), taken: false },
  'two chains that cover one name': {
    bootstrap: chains(
      { name: 'one', filters, filter_chain_match: { server_names: ['a.test'] } },
      { name: 'two', filters, filter_chain_match: { server_names: ['b.test', 'a.test'] } },
    ),
    taken: false,
  },
  'a chain for another transport protocol': {
    bootstrap: chains({ filters, filter_chain_match: { transport_protocol: 'tls' } }),
    taken: true,
  },
  'a wildcard in the middle of a name': {
    bootstrap: chains({ filters, filter_chain_match: { server_names: ['a.*.test'] } }),
    taken: false,
  },
  'no stat prefix': { bootstrap: manager({ stat_prefix: '' }), taken: false },
  'no filter at all': {
    bootstrap: manager({ http_filters: [] }),
    taken: true,
    differs: 'nothing would answer: every request would hang until a timeout',
  },
  'an access log without a path': {
    bootstrap: manager({
      access_log: [
        {
          name: 'f',
          typed_config: { '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'), path: '' },
        },
      ],
    }),
    taken: false,
  },
  'an access log with an unknown operator': {
    bootstrap: manager({
      access_log: [
        {
          name: 'f',
          typed_config: {
            '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
            path: '/dev/null',
            log_format: { text_format_source: { inline_string: '%NO_SUCH%' } },
          },
        },
      ],
    }),
    taken: false,
  },
  'a route to a cluster that is not there': {
    bootstrap: routes({ match: { prefix: '/' }, route: { cluster: 'nobody' } }),
    taken: false,
  },
  'an upgrade of a route twice': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'ws' }, { upgrade_type: 'WS' }] },
    }),
    taken: false,
    says: /[Dd]uplicate upgrade/,
  },
  'an upgrade of a route without a type': {
    bootstrap: routes({ match: { prefix: '/' }, route: { cluster: 'a', upgrade_configs: [{}] } }),
    taken: false,
  },
  'a tunnel that is no CONNECT': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'ws', connect_config: {} }] },
    }),
    taken: false,
    says: /ConnectConfig/,
  },
  'a tunnel of CONNECT in small letters': {
    bootstrap: routes({
      match: { connect_matcher: {} },
      route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'connect', connect_config: {} }] },
    }),
    taken: true,
  },
  'an upgrade of the manager twice': {
    bootstrap: manager({ upgrade_configs: [{ upgrade_type: 'ws' }, { upgrade_type: 'WS' }] }),
    taken: false,
    says: /upgrade/,
  },
  'an upgrade whose filters have no router': {
    bootstrap: manager({
      upgrade_configs: [
        {
          upgrade_type: 'ws',
          filters: [
            {
              name: 'envoy.filters.http.buffer',
              typed_config: {
                '@type': typeUrl('envoy.extensions.filters.http.buffer.v3.Buffer'),
                max_request_bytes: 1,
              },
            },
          ],
        },
      ],
    }),
    taken: false,
  },
  'a redirect that copies the host': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', internal_redirect_policy: { response_headers_to_copy: ['Host'] } },
    }),
    taken: false,
  },
  'a redirect that copies a header twice': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', internal_redirect_policy: { response_headers_to_copy: ['x-a', 'x-a'] } },
    }),
    taken: false,
  },
  'a redirect with a status that is none': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', internal_redirect_policy: { redirect_response_codes: [200, 302] } },
    }),
    taken: true,
  },
  'a redirect with too many statuses': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', internal_redirect_policy: { redirect_response_codes: [301, 302, 303, 307, 308, 309] } },
    }),
    taken: false,
  },
  'a redirect with an unknown predicate': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: {
        cluster: 'a',
        internal_redirect_policy: { predicates: [{ name: 'x', typed_config: { '@type': typeUrl('x.y.Z') } }] },
      },
    }),
    taken: false,
  },
  'a header of the router that is not checked strictly': {
    bootstrap: manager({
      http_filters: [
        {
          name: 'r',
          typed_config: {
            '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router'),
            strict_check_headers: ['x-own'],
          },
        },
      ],
    }),
    taken: false,
  },
  'a route without a match': { bootstrap: routes({ route: { cluster: 'a' } }), taken: false },
  'a route without an action': { bootstrap: routes({ match: { prefix: '/' } }), taken: false },
  'a regex that is none': {
    bootstrap: routes({ match: { safe_regex: { regex: '(' } }, route: { cluster: 'a' } }),
    taken: false,
  },
  'a regex with look-ahead': {
    bootstrap: routes({ match: { safe_regex: { regex: '(?=a)' } }, route: { cluster: 'a' } }),
    taken: false,
  },
  'a rewrite with a group that is not there': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', regex_rewrite: { pattern: { regex: 'a' }, substitution: '\\1' } },
    }),
    taken: true,
  },
  'both rewrites': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { cluster: 'a', prefix_rewrite: '/b', regex_rewrite: { pattern: { regex: 'a' }, substitution: 'b' } },
    }),
    taken: false,
  },
  'two virtual hosts with one domain': {
    bootstrap: good({
      routes: { virtual_hosts: ['a', 'b'].map((name) => ({ name, domains: ['x.test'], routes: [ROUTE] })) },
    }),
    taken: false,
  },
  'two virtual hosts for all': {
    bootstrap: good({
      routes: { virtual_hosts: ['a', 'b'].map((name) => ({ name, domains: ['*'], routes: [ROUTE] })) },
    }),
    taken: false,
  },
  'a virtual host without domains': {
    bootstrap: good({ routes: { virtual_hosts: [{ name: 'a', domains: [], routes: [] }] } }),
    taken: false,
  },
  'a domain with a wildcard in the middle': {
    bootstrap: good({ routes: { virtual_hosts: [{ name: 'a', domains: ['a.*.test'], routes: [ROUTE] }] } }),
    taken: true,
  },
  'weights of zero': {
    bootstrap: routes({
      match: { prefix: '/' },
      route: { weighted_clusters: { clusters: [{ name: 'a', weight: 0 }] } },
    }),
    taken: false,
  },
  'a direct response with a bad status': {
    bootstrap: routes({ match: { prefix: '/' }, direct_response: { status: 99 } }),
    taken: false,
  },
  'a header that may not be changed': {
    bootstrap: routes({ ...ROUTE, request_headers_to_remove: [':path'] }),
    taken: false,
  },
  'a header value with an unknown operator': {
    bootstrap: routes({ ...ROUTE, request_headers_to_add: [{ header: { key: 'x', value: '%NO_SUCH%' } }] }),
    taken: false,
  },
  'a header with a bad name': {
    bootstrap: routes({ ...ROUTE, request_headers_to_add: [{ header: { key: 'x\n', value: 'y' } }] }),
    taken: false,
  },
  'a cluster without a name': {
    bootstrap: { static_resources: { clusters: [{ connect_timeout: '1s' }] } },
    taken: false,
  },
  'a static cluster with a name for an address': {
    bootstrap: cluster({
      load_assignment: {
        cluster_name: 'a',
        endpoints: [
          { lb_endpoints: [{ endpoint: { address: { socket_address: { address: 'host.test', port_value: 1 } } } }] },
        ],
      },
    }),
    taken: false,
  },
  'a port beyond 65535': {
    bootstrap: cluster({
      load_assignment: {
        cluster_name: 'a',
        endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(65536) } }] }],
      },
    }),
    taken: false,
  },
  'EDS without a source': { bootstrap: cluster({ type: 'EDS' }), taken: false },
  'ADS for a cluster without ads_config': {
    bootstrap: { dynamic_resources: { cds_config: { ads: {}, resource_api_version: 'V3' } } },
    taken: false,
  },
  'ADS by a cluster that is not there': {
    bootstrap: {
      node: { id: 'n', cluster: 'c' },
      dynamic_resources: {
        ads_config: {
          api_type: 'GRPC',
          transport_api_version: 'V3',
          grpc_services: [{ envoy_grpc: { cluster_name: 'nobody' } }],
        },
        cds_config: { ads: {}, resource_api_version: 'V3' },
      },
    },
    taken: false,
  },
  'a health check of nothing': { bootstrap: checks({}), taken: false },
  'a health check without a timeout': {
    bootstrap: checks({ tcp_health_check: {}, timeout: undefined }),
    taken: false,
    says: /timeout/,
  },
  'a health check without a pause': { bootstrap: checks({ tcp_health_check: {}, interval: '0s' }), taken: false },
  'a health check without a threshold': {
    bootstrap: checks({ tcp_health_check: {}, healthy_threshold: undefined }),
    taken: false,
    says: /healthy_threshold/,
  },
  'a health check with thresholds of 0': {
    bootstrap: checks({ tcp_health_check: {}, healthy_threshold: 0, unhealthy_threshold: 0 }),
    taken: true,
  },
  'a health check with a jitter below 0': {
    bootstrap: checks({ tcp_health_check: {}, interval_jitter: '-1s' }),
    taken: false,
  },
  'a gRPC health check in HTTP/1.1': { bootstrap: checks({ grpc_health_check: {} }), taken: false, says: /HTTP\/2/ },
  'a gRPC health check in HTTP/2': {
    bootstrap: checks({ grpc_health_check: {} }, protocol({ explicit_http_config: { http2_protocol_options: {} } })),
    taken: true,
  },
  'a gRPC health check where ALPN chooses': {
    bootstrap: checks(
      { grpc_health_check: {} },
      {
        ...protocol({ auto_config: {} }),
        transport_socket: {
          name: 'tls',
          typed_config: {
            '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
            common_tls_context: {},
          },
        },
      },
    ),
    taken: true,
  },
  'a gRPC health check as the caller speaks': {
    bootstrap: checks(
      { grpc_health_check: {} },
      protocol({ use_downstream_protocol_config: { http2_protocol_options: {} } }),
    ),
    taken: true,
  },
  'an HTTP health check without a path': { bootstrap: httpCheck({ path: '' }), taken: false, says: /path/ },
  'an HTTP health check by CONNECT': { bootstrap: httpCheck({ method: 'CONNECT' }), taken: false, says: /method/ },
  'an HTTP health check with a body for GET': {
    bootstrap: httpCheck({ send: { text: '00' } }),
    taken: false,
    says: /method 'GET'/,
  },
  'an HTTP health check with a body': { bootstrap: httpCheck({ method: 'PUT', send: { text: '00' } }), taken: true },
  'an HTTP health check with statuses back to front': {
    bootstrap: httpCheck({ expected_statuses: [{ start: 300, end: 200 }] }),
    taken: false,
    says: /start < end/,
  },
  'an HTTP health check with statuses below 100': {
    bootstrap: httpCheck({ retriable_statuses: [{ start: 99, end: 200 }] }),
    taken: false,
    says: /start >= 100/,
  },
  'an HTTP health check with a host of its own header': {
    bootstrap: httpCheck({ request_headers_to_add: [{ header: { key: 'host', value: 'x' } }] }),
    taken: false,
    says: /may not be modified/,
  },
  'an HTTP health check with a time in a header': {
    bootstrap: httpCheck({ request_headers_to_add: [{ header: { key: 'x', value: '%START_TIME%' } }] }),
    taken: true,
    differs: 'there is no request to take values from',
  },
  'a TCP health check with half a byte': {
    bootstrap: checks({ tcp_health_check: { send: { text: 'abc' } } }),
    taken: false,
    says: /invalid hex string 'abc'/,
  },
  'a TCP health check that wants nothing of a payload': {
    bootstrap: checks({ tcp_health_check: { receive: [{ text: '' }] } }),
    taken: false,
  },
  'health asked for at another port': { bootstrap: asked({ port_value: 8080, hostname: 'h' }), taken: true },
  'health asked for at a port beyond 65535': { bootstrap: asked({ port_value: 65536 }), taken: false },
  'health asked for at another address': { bootstrap: asked({ address: loopback(2) }), taken: true },
  'health asked for at another address and port': {
    bootstrap: asked({ address: loopback(2), port_value: 8080 }),
    taken: true,
  },
  'health asked for at a name': {
    bootstrap: asked({ address: { socket_address: { address: 'host.test', port_value: 1 } } }),
    taken: false,
  },
  'TLS without a certificate': {
    bootstrap: chains({
      filters,
      transport_socket: {
        name: 'tls',
        typed_config: {
          '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
          common_tls_context: {},
        },
      },
    }),
    taken: false,
  },
  'TLS with a certificate that is not there': {
    bootstrap: cluster({
      transport_socket: {
        name: 'tls',
        typed_config: {
          '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
          common_tls_context: { validation_context: { trusted_ca: { filename: '/nowhere/ca.pem' } } },
        },
      },
    }),
    taken: false,
  },
  'TLS with a certificate that is none': {
    bootstrap: cluster({
      transport_socket: {
        name: 'tls',
        typed_config: {
          '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
          common_tls_context: { validation_context: { trusted_ca: { inline_string: 'not a certificate' } } },
        },
      },
    }),
    taken: false,
  },
};

const folder = mkdtempSync(join(tmpdir(), 'bootstraps-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function validate(command: string, before: readonly string[], file: string) {
  return new Promise<{ readonly ok: boolean; readonly text: string }>((done) => {
    execFile(
      command,
      [...before, '-c', file, '--mode', 'validate', '--disable-hot-restart'],
      { timeout: 20_000 },
      (error, out, err) => done({ ok: error === null, text: `${out}${err}` }),
    );
  });
}

describe('bootstraps', { concurrency: 2 }, () => {
  const envoy = findEnvoy();
  let number = 0;
  for (const [name, { bootstrap, taken, differs, says }] of Object.entries(ROWS)) {
    const file = join(folder, `${number++}.yaml`);
    test(`${name} is ${taken ? 'taken' : 'refused'}${envoy === undefined ? ' (Envoy is not asked)' : ''}`, async () => {
      writeFileSync(
        file,
        typeof bootstrap === 'string' ? bootstrap : JSON.stringify(bootstrap, null, 1).replaceAll('{{folder}}', folder),
      );
      const [theirs, ours] = await Promise.all([
        envoy === undefined ? undefined : validate(envoy, ['-l', 'error'], file),
        validate(process.execPath, [MAIN], file),
      ]);
      if (theirs !== undefined) assert.equal(theirs.ok, taken, `Envoy: ${theirs.text}`);
      assert.equal(ours.ok, differs === undefined ? taken : !taken, `Tollway: ${ours.text}`);
      if (says !== undefined && !ours.ok) assert.match(ours.text, says);
    });
  }
});
