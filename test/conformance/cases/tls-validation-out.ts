import {
  accessLog,
  type Case,
  countedApart,
  type Difference,
  http,
  LOG_FORMAT,
  loopback,
  type Suite,
} from '../harness/case.ts';
import { FILES, TLS_LIBRARY, tlsContext, upstreamTls } from '../harness/certificates.ts';
import { get } from '../harness/client.ts';
import { bundleMap, crl, crls, HOSTILE, type Hostile, NAME, root } from '../harness/hostile.ts';

const PEER = ['URI_SAN', 'DNS_SAN', 'IP_SAN', 'SUBJECT', 'ISSUER'];
const PRINTS = ['CERT_V_START', 'CERT_V_END', 'CERT'];
const LOCAL = ['URI_SAN', 'DNS_SAN', 'IP_SAN'];
const TLS_LOG = {
  ...LOG_FORMAT,
  ...Object.fromEntries([...PEER, ...PRINTS].map((what) => [what, `%UPSTREAM_PEER_${what}%`])),
  ...Object.fromEntries(LOCAL.map((what) => [`own ${what}`, `%UPSTREAM_LOCAL_${what}%`])),
  from: '%UPSTREAM_PEER_CERT_V_START(%Y-%m-%d)%',
  until: '%UPSTREAM_PEER_CERT_V_END(%s)%',
};

const OTHER_HASH = 'ab'.repeat(32);
const san = (san_type: string, matcher: object) => ({ match_typed_subject_alt_names: [{ san_type, matcher }] });
const spiffe = {
  trusted_ca: undefined,
  custom_validator_config: {
    name: 'envoy.tls.cert_validator.spiffe',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
      trust_bundles: { filename: '{{folder}}/bundles.json' },
    },
  },
};

type Outcome = 'taken' | 'refused' | 'weak' | 'depth' | 'purpose' | 'two ids';
interface Try {
  readonly peer: Hostile;
  readonly outcome: Outcome;
  readonly validation?: object;
  readonly common?: object;
  readonly socket?: object;
  readonly options?: object;
  readonly host?: string;
  /** The endpoint's host name. */
  readonly named?: string;
}

const plain = (outcome: Outcome, ...peers: readonly Hostile[]): [string, Try][] =>
  peers.map((peer) => [`plain ${peer}`, { peer, outcome }]);
const under = (name: string, validation: object, outcome: Outcome, ...peers: readonly Hostile[]): [string, Try][] =>
  peers.map((peer) => [`${name} ${peer}`, { peer, outcome, validation }]);
const automatic = (upstream_http_protocol_options: object): object => ({
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      upstream_http_protocol_options,
      explicit_http_config: { http_protocol_options: {} },
    },
  },
});
const BOTH = automatic({ auto_sni: true, auto_san_validation: true });

const AUTO_HOST = { auto_host_sni: true, auto_sni_san_validation: true };

const TRIES = new Map<string, Try>([
  ...plain('taken', 'good', 'by an intermediate', 'chain in the wrong order', 'for servers only', 'for both'),
  ...plain('taken', 'names within the constraints', 'revoked', 'without names', 'without key usage', '4,000 names'),
  ...plain('taken', 'authority for servers only', 'RSA of 2048 bits', 'chain of 12', 'strangers in the chain'),
  ...plain('taken', 'an e-mail address and another name', '10,000 names'),
  ...plain('refused', 'without the intermediate', 'expired', 'not yet valid', 'expired authority', 'for clients only'),
  ...plain('refused', 'for code signing only', 'authority for clients only', 'a leaf as authority', 'path too long'),
  ...plain('refused', 'authority without basic constraints', 'authority that may not sign', 'the root itself'),
  ...plain('refused', 'name outside of the permitted', 'name that is excluded', 'URI outside of the permitted'),
  ...plain('refused', 'unknown critical extension', 'authority with an unknown critical extension', 'self-signed'),
  ...plain('refused', 'self-signed with the name of the root', 'of another root', 'of another root, which it brings'),
  ...plain('refused', 'signed by another key', 'with a leaf that says it is an authority', 'chain of 110'),
  ...plain('refused', 'key usage without signatures', '10,000 long names'),
  ...plain('weak', 'signed with SHA-1', 'authority signed with SHA-1', 'RSA of 1024 bits'),
  ...plain('weak', 'by an authority of 1024 bits'),
  ...under('lenient', { allow_expired_certificate: true }, 'taken', 'good', 'expired', 'not yet valid'),
  ...under(
    'lenient',
    { allow_expired_certificate: true },
    'refused',
    'expired and excluded',
    'expired and below a leaf',
  ),
  ...under('lenient', { allow_expired_certificate: true }, 'refused', 'expired and of another root'),
  ...under(
    'untrusting',
    { trust_chain_verification: 'ACCEPT_UNTRUSTED' },
    'taken',
    'good',
    'of another root',
    'expired',
  ),
  ...under('revoking', { crl: { filename: '{{folder}}/crl.pem' } }, 'taken', 'good'),
  ...under('revoking', { crl: { filename: '{{folder}}/crl.pem' } }, 'refused', 'revoked', 'by an intermediate'),
  ...under('revoking-all', { crl: { filename: '{{folder}}/crls.pem' } }, 'taken', 'good', 'by an intermediate'),
  ...under('revoking-all', { crl: { filename: '{{folder}}/crls.pem' } }, 'refused', 'by a revoked authority'),
  ...under(
    'revoking-leaves',
    { crl: { filename: '{{folder}}/crls.pem' }, only_verify_leaf_cert_crl: true },
    'taken',
    'by a revoked authority',
  ),
  ...under('depth', { max_verify_depth: 1 }, 'taken', 'good'),
  ...under('depth', { max_verify_depth: 1 }, 'depth', 'by an intermediate'),
  ...under('hash', { verify_certificate_hash: [OTHER_HASH] }, 'refused', 'good'),
  ...under('uri', san('URI', { exact: NAME }), 'taken', 'good'),
  ...under('uri', san('URI', { exact: NAME }), 'refused', 'of another trust domain', 'without names'),
  ...under('dns', san('DNS', { exact: 'peer.test' }), 'taken', 'good'),
  ...under('email', san('EMAIL', { exact: 'a@peer.test' }), 'taken', 'an e-mail address and another name'),
  ...under('spiffe', spiffe, 'taken', 'good', 'by an intermediate'),
  ...under('spiffe', spiffe, 'refused', 'expired', 'of another trust domain', 'without an SPIFFE id', 'self-signed'),
  ...under('spiffe', spiffe, 'purpose', 'for clients only'),
  ...under('spiffe', spiffe, 'two ids', 'two SPIFFE ids'),
  ['auto both', { peer: 'good', outcome: 'taken', options: BOTH, host: 'peer.test' }],
  ['auto both, with a port', { peer: 'good', outcome: 'taken', options: BOTH, host: 'peer.test:443' }],
  ['auto both, another', { peer: 'good', outcome: 'refused', options: BOTH, host: 'else.test' }],
  ['auto both, an address', { peer: 'good', outcome: 'refused', options: BOTH, host: '127.0.0.1' }],
  [
    'auto validation',
    { peer: 'good', outcome: 'taken', options: automatic({ auto_san_validation: true }), host: 'peer.test' },
  ],
  ['auto sni-san', { peer: 'good', outcome: 'taken', socket: { sni: 'peer.test', auto_sni_san_validation: true } }],
  [
    'auto sni-san, another',
    { peer: 'good', outcome: 'refused', socket: { sni: 'else.test', auto_sni_san_validation: true } },
  ],
  ['auto sni-san, no name', { peer: 'good', outcome: 'taken', socket: { auto_sni_san_validation: true } }],
  ['auto sni-san, the host', { peer: 'good', outcome: 'taken', socket: AUTO_HOST, named: 'peer.test' }],
  ['auto sni-san, another host', { peer: 'good', outcome: 'refused', socket: AUTO_HOST, named: 'else.test' }],
  [
    'auto sni-san replaces names',
    {
      peer: 'good',
      outcome: 'taken',
      validation: san('URI', { exact: 'spiffe://else.test/x' }),
      socket: { sni: 'peer.test', auto_sni_san_validation: true },
    },
  ],
]);

const slug = (name: string) => name.replaceAll(/[^a-z0-9]+/gi, '-');
const used = [...new Set([...TRIES.values()].map(({ peer }) => peer))];

const WORDS = { envoy: '*', tollway: /TLS_error/ };
const REFUSED: Difference = {
  why: "the TLS library's own words: codes and paths of BoringSSL there, OpenSSL's words here",
  at: { 'accessLog[0].details': WORDS, 'accessLog[0].failure': WORDS },
};
const shut = (why: string): Difference => ({
  why,
  at: Object.fromEntries(
    ['client[0].responses[0].*', 'upstreams.*', 'accessLog[0].*'].map((path) => [path, { envoy: '*', tollway: '*' }]),
  ),
});
const DIFFERS: { readonly [outcome in Outcome]: Difference | undefined } = {
  taken: undefined,
  refused: REFUSED,
  weak: shut('SHA-1 and RSA keys below 2048 bits prove nothing any more: OpenSSL refuses them at its security level 2'),
  depth: shut('a chain that is too long is refused from either side; Envoy heeds max_verify_depth downstream alone'),
  purpose: shut("the certificate's purpose counts whoever validates it; Envoy's SPIFFE validator does not ask"),
  'two ids': shut('X509-SVID §2: one URI name'),
};
const assignment = (cluster_name: string, upstream: string, hostname: string) => ({
  cluster_name,
  endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(`{{${upstream}}}`), hostname } }] }],
});
const cases = [...TRIES].map(([name, { outcome, host }]): Case => {
  const differs = DIFFERS[outcome];
  return {
    name,
    client: get(`/${slug(name)}`, host === undefined ? {} : { host }),
    ...(differs === undefined ? {} : { differs }),
  };
});

/** Hostile certificates of upstreams: who is taken, what is counted a cluster, and what the caller and the log are told. */
export const suite: Suite = {
  name: 'tls validation out',
  upstreams: used.map(slug),
  upstreamTls: Object.fromEntries(
    used.map((peer) => [slug(peer), { ...HOSTILE[peer], ciphers: 'DEFAULT@SECLEVEL=0' }]),
  ),
  listener: 'ingress',
  files: { ...FILES, 'root.pem': root.pem, 'crl.pem': crl, 'crls.pem': crls, 'bundles.json': bundleMap },
  bootstrap: http({
    clusters: Object.fromEntries(
      [...TRIES].map(([name, { peer, validation, socket, options, named }]) => [
        slug(name),
        {
          endpoints: [slug(peer)],
          ...(named === undefined ? {} : { load_assignment: assignment(slug(name), slug(peer), named) }),
          transport_socket: upstreamTls(
            tlsContext('client', { trusted_ca: { filename: '{{folder}}/root.pem' }, ...validation }),
            socket,
          ),
          ...options,
        },
      ]),
    ),
    routes: [...TRIES.keys()].map((name) => ({ match: { path: `/${slug(name)}` }, route: { cluster: slug(name) } })),
    manager: { access_log: [accessLog({ json_format: TLS_LOG })] },
  }),
  cases,
  statsDiffer: countedApart(`some are refused here that Envoy takes; ${TLS_LIBRARY}`, [
    'http.ingress.*',
    'listener.<address>.http.ingress.*',
    ...[...TRIES].flatMap(([name, { outcome, validation }]) => [
      ...(outcome === 'taken' ? [`cluster.${slug(name)}.ssl.sigalgs.*`] : []),
      ...(outcome === 'taken' || outcome === 'refused' ? [] : [`cluster.${slug(name)}.*`]),
      // Envoy names those of trust domains by their number
      ...(validation === spiffe ? [`cluster.${slug(name)}.ssl.certificate.*`] : []),
    ]),
  ]),
};
