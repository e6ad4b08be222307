import { accessLog, http, type Suite } from '../harness/case.ts';
import { get, on } from '../harness/client.ts';

const INTERNAL = { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } };
const LOOPBACK = { internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] } };
const xff = (value: string, more = {}) => get('/', { 'x-forwarded-for': value, ...more });
/** Fields that only internal callers may send, or that the proxy sets itself. */
const OWN = {
  'x-envoy-internal': 'true',
  'x-envoy-retry-on': '5xx',
  'x-envoy-external-address': '1.2.3.4',
  'x-envoy-downstream-service-cluster': 'them',
  'x-forwarded-host': 'forwarded.test',
};

/** Whose request it is: x-forwarded-for, trusted hops, internal and external callers, and what each may send. */
export const suite: Suite = {
  name: 'client address',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
    manager: {
      ...INTERNAL,
      access_log: [
        accessLog({
          json_format: {
            direct: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
            remote: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
            xff: '%REQ(X-FORWARDED-FOR)%',
            internal: '%REQ(X-ENVOY-INTERNAL)%',
            status: '%RESPONSE_CODE%',
          },
        }),
      ],
    },
    variants: {
      edge: { use_remote_address: true },
      'edge-internal': { use_remote_address: true, ...LOOPBACK },
      'edge-hop': { use_remote_address: true, xff_num_trusted_hops: 1 },
      'edge-silent': { use_remote_address: true, skip_xff_append: true },
      private: { internal_address_config: {} },
      nobody: { internal_address_config: undefined },
      'two-hops': { xff_num_trusted_hops: 2 },
      'edge-two-hops': { use_remote_address: true, xff_num_trusted_hops: 2 },
      'edge-port': { use_remote_address: true, append_x_forwarded_port: true, xff_num_trusted_hops: 1 },
      hops: { xff_num_trusted_hops: 1 },
      port: { use_remote_address: true, append_x_forwarded_port: true },
      scheme: { scheme_header_transformation: { scheme_to_overwrite: 'https' } },
    },
  }),
  cases: [
    { name: 'no x-forwarded-for', client: get('/') },
    { name: 'one internal address', client: xff('10.0.0.1') },
    { name: 'one external address', client: xff('203.0.113.9') },
    { name: 'two internal addresses', client: xff('10.0.0.1, 10.0.0.2') },
    { name: 'an external and an internal address', client: xff('203.0.113.9,10.0.0.2') },
    { name: 'an address that is none', client: xff('nobody') },
    { name: 'an IPv6 address', client: xff('2001:db8::1') },
    { name: 'an address with a port', client: xff('10.0.0.1:80') },
    {
      name: 'two fields',
      client: {
        send: ['GET / HTTP/1.1\r\nhost: x.test\r\nx-forwarded-for: 10.0.0.1\r\nx-forwarded-for: 203.0.113.9\r\n\r\n'],
      },
    },
    { name: 'an internal caller keeps its x-envoy fields', client: xff('10.0.0.1', OWN) },
    { name: 'an external caller loses its x-envoy fields', client: xff('203.0.113.9', OWN) },
    { name: 'edge: no x-forwarded-for', client: on('edge', get('/')) },
    { name: 'edge: the own address is appended', client: on('edge', xff('10.0.0.1, 10.0.0.2')) },
    { name: 'edge: x-envoy fields of an external caller', client: on('edge', get('/', OWN)) },
    { name: 'edge: x-envoy fields of an internal caller', client: on('edge-internal', get('/', OWN)) },
    { name: 'edge: an internal caller with x-forwarded-for', client: on('edge-internal', xff('10.0.0.1', OWN)) },
    { name: 'edge: a trusted hop', client: on('edge-hop', xff('203.0.113.9, 10.0.0.7')) },
    { name: 'edge: a trusted hop and no x-forwarded-for', client: on('edge-hop', get('/')) },
    { name: 'edge: nothing is appended', client: on('edge-silent', xff('10.0.0.1')) },
    { name: 'a trusted hop', client: on('hops', xff('203.0.113.9, 10.0.0.7')) },
    { name: 'a trusted hop and too few addresses', client: on('hops', xff('203.0.113.9')) },
    { name: 'x-forwarded-port', client: on('port', get('/')) },
    { name: 'x-forwarded-proto of the caller', client: get('/', { 'x-forwarded-proto': 'https' }) },
    { name: 'edge: x-forwarded-proto of the caller', client: on('edge', get('/', { 'x-forwarded-proto': 'https' })) },
    { name: 'x-forwarded-proto that is neither', client: get('/', { 'x-forwarded-proto': 'ftp' }) },
    { name: 'the scheme is overwritten', client: on('scheme', get('/')) },
    ...[
      ...[
        '10.1.2.3',
        '172.15.0.1',
        '172.16.0.1',
        '172.31.255.1',
        '172.32.0.1',
        '192.168.9.9',
        '192.169.0.1',
        '169.254.0.1',
      ],
      ...['127.0.0.1', '127.0.0.2', '::1', 'fd00::1', 'fc00::1', 'fe80::1', '::ffff:10.0.0.1', '010.0.0.1'],
    ].flatMap((address) => [
      { name: `private by default: ${address}`, client: on('private', xff(address)) },
      { name: `nobody is internal: ${address}`, client: on('nobody', xff(address)) },
    ]),
    { name: 'two trusted hops', client: on('two-hops', xff('10.0.0.1,203.0.113.9, 10.0.0.7')) },
    { name: 'two trusted hops and two addresses', client: on('two-hops', xff('203.0.113.9, 10.0.0.7')) },
    { name: 'edge: two trusted hops', client: on('edge-two-hops', xff('10.0.0.1,203.0.113.9, 10.0.0.7')) },
    { name: 'edge: two trusted hops and one address', client: on('edge-two-hops', xff('203.0.113.9')) },
    {
      name: 'edge: a trusted hop that said the port',
      client: on('edge-port', get('/', { 'x-forwarded-port': '443' })),
    },
    { name: 'edge: a trusted hop that did not say the port', client: on('edge-port', get('/')) },
    {
      name: 'edge: a trusted hop that said the protocol',
      client: on('edge-hop', get('/', { 'x-forwarded-proto': 'https' })),
    },
    { name: 'an empty x-forwarded-for', client: xff('') },
    { name: 'spaces and commas', client: xff(' , 10.0.0.1 ,') },
  ],
};
