import { accessLog, countedApart, type Difference, http, LOG_FORMAT, type Suite } from '../harness/case.ts';
import {
  expired,
  FILES,
  issue,
  other,
  server,
  stranger,
  TLS_LIBRARY,
  tlsContext,
  tlsFailure,
  upstreamTls,
  uriSan,
} from '../harness/certificates.ts';
import { get } from '../harness/client.ts';

const pair = ({ chain, key }: { readonly chain: string; readonly key: string }) => ({ cert: chain, key });
const plain = issue({ dnsNames: ['plain.test'] });

const cluster = (upstream: string, common: object, more: object = {}) => ({
  endpoints: [upstream],
  transport_socket: upstreamTls(common, more),
});
const CLUSTERS = {
  mutual: cluster('good', tlsContext('client', uriSan({ exact: 'spiffe://mesh.test/server' })), { sni: 'server.test' }),
  'without-certificate': cluster('good', tlsContext(undefined, {})),
  'without-trust': cluster('strange', tlsContext('client')),
  strange: cluster('strange', tlsContext('client', {})),
  expired: cluster('expired', tlsContext('client', {})),
  'wrong-name': cluster('other', tlsContext('client', uriSan({ exact: 'spiffe://mesh.test/server' }))),
  'dns-name': cluster(
    'good',
    tlsContext('client', { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'server.test' } }] }),
  ),
  'dns-name-wrong': cluster(
    'good',
    tlsContext('client', { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'else.test' } }] }),
  ),
  alpn: cluster('good', tlsContext('client', {}, { alpn_protocols: ['istio-peer-exchange', 'istio'] })),
  'host-sni': {
    ...cluster('good', tlsContext('client', {})),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        upstream_http_protocol_options: { auto_sni: true },
        explicit_http_config: { http_protocol_options: {} },
      },
    },
  },
  'to-plaintext': cluster('plaintext', tlsContext('client', {})),
  'from-plaintext': ['good'],
};

const SANS = /SAN_matcher,_certificate_SANs_are_\[spiffe:\/\/mesh\.test\/(other|server,_server\.test,_localhost)\]/;
const FAILURES: { readonly [name: string]: Difference } = {
  strange: tlsFailure(
    /:_unable_to_get_local_issuer_certificate:TLS_error_end/,
    /_unable_to_get_local_issuer_certificate/,
  ),
  expired: tlsFailure(/:_certificate_has_expired:TLS_error_end/, /_certificate_has_expired/),
  'wrong-name': tlsFailure(SANS, SANS),
  'dns-name-wrong': tlsFailure(SANS, SANS),
};
/** Clusters whose peer's signature is checked by a handshake that succeeds. */
const AGREED = ['mutual', 'without-certificate', 'without-trust', 'dns-name', 'alpn', 'host-sni'];

/** TLS to the upstream: whom the proxy trusts, who it says it is, and what the caller is told when it fails. */
export const suite: Suite = {
  name: 'tls out',
  upstreams: ['good', 'strange', 'expired', 'other', 'plain', 'plaintext'],
  upstreamTls: {
    good: { ...pair(server), alpn: ['istio', 'http/1.1'] },
    strange: pair(stranger),
    expired: pair(expired),
    other: pair(other),
    plain: pair(plain),
  },
  listener: 'ingress',
  files: FILES,
  bootstrap: http({
    clusters: CLUSTERS,
    routes: Object.keys(CLUSTERS).map((name) => ({ match: { path: `/${name}` }, route: { cluster: name } })),
    manager: {
      access_log: [
        accessLog({
          json_format: {
            ...LOG_FORMAT,
            version: '%UPSTREAM_TLS_VERSION%',
            uri: '%UPSTREAM_PEER_URI_SAN%',
            own: '%UPSTREAM_LOCAL_URI_SAN%',
          },
        }),
      ],
    },
  }),
  cases: [
    ...Object.keys(CLUSTERS).map((name) => ({
      name,
      client: get(`/${name}`, { host: 'server.test' }),
      ...(FAILURES[name] === undefined ? {} : { differs: FAILURES[name] }),
    })),
    { name: 'a second request goes on the same connection', client: [get('/mutual'), get('/mutual')], logLines: 2 },
  ],
  statsDiffer: countedApart(
    TLS_LIBRARY,
    AGREED.map((name) => `cluster.${name}.ssl.sigalgs.*`),
  ),
};
