import { X509Certificate } from 'node:crypto';
import { spkiHash } from '../../../proxy/tls/validator.ts';
import {
  accessLog,
  type Case,
  countedApart,
  type Difference,
  http,
  httpManager,
  LOG_FORMAT,
  loopback,
  type Suite,
} from '../harness/case.ts';
import { downstreamTls, FILES, TLS_LIBRARY, tlsContext, tlsLibrary } from '../harness/certificates.ts';
import { get, on, over } from '../harness/client.ts';
import { bundleMap, crl, crls, good, HOSTILE, type Hostile, NAME, root, staleCrl } from '../harness/hostile.ts';

const ROUTES = { routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] };
const SIDE = 'DOWNSTREAM';
const PEER = ['URI_SAN', 'DNS_SAN', 'IP_SAN', 'EMAIL_SAN', 'OTHERNAME_SAN', 'SUBJECT', 'ISSUER', 'SERIAL'];
const PRINTS = ['FINGERPRINT_256', 'FINGERPRINT_1', 'CERT_V_START', 'CERT_V_END', 'CERT'];
const CHAIN = [
  'CHAIN_FINGERPRINTS_256',
  'CHAIN_FINGERPRINTS_1',
  'CHAIN_SERIALS',
  'ISSUER_FINGERPRINT_256',
  'ISSUER_SERIAL',
];
const LOCAL = ['URI_SAN', 'DNS_SAN', 'IP_SAN', 'EMAIL_SAN', 'OTHERNAME_SAN', 'SUBJECT'];
const TLS_LOG = {
  ...LOG_FORMAT,
  ...Object.fromEntries([...PEER, ...PRINTS, ...CHAIN].map((what) => [what, `%${SIDE}_PEER_${what}%`])),
  ...Object.fromEntries(LOCAL.map((what) => [`own ${what}`, `%${SIDE}_LOCAL_${what}%`])),
  from: `%${SIDE}_PEER_CERT_V_START(%Y-%m-%d)%`,
  until: `%${SIDE}_PEER_CERT_V_END(%s)%`,
};
const manager = (name: string) =>
  httpManager(name, ROUTES, {
    access_log: [accessLog({ json_format: TLS_LOG })],
    forward_client_cert_details: 'SANITIZE_SET',
    set_current_client_cert_details: { subject: true, dns: true, uri: true },
  });

const hash = (pem: string) => new X509Certificate(pem).fingerprint256;
const plainHash = hash(good.pem).replaceAll(':', '').toLowerCase();
const spki = spkiHash(new X509Certificate(good.pem));
const OTHER_HASH = 'ab'.repeat(32);
const OTHER_SPKI = Buffer.alloc(32).toString('base64');
const san = (san_type: string, matcher: object, more: object = {}) => ({ san_type, matcher, ...more });
const matches = (...list: readonly object[]) => ({ match_typed_subject_alt_names: list });
const OID = '1.3.6.1.4.1.311.20.2.3';
const trustDomains = (...domains: readonly string[]) => ({
  trusted_ca: undefined,
  custom_validator_config: {
    name: 'envoy.tls.cert_validator.spiffe',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
      trust_domains: domains.map((name, at) => ({
        name,
        trust_bundle: { filename: at === 0 ? '{{folder}}/root.pem' : '{{folder}}/ca.pem' },
      })),
    },
  },
});

/** Listener to its validation context, beside the trusted root. */
const VALIDATIONS: { readonly [listener: string]: object } = {
  mutual: {},
  lenient: { allow_expired_certificate: true },
  untrusting: { trust_chain_verification: 'ACCEPT_UNTRUSTED' },
  'untrusting-named': { trust_chain_verification: 'ACCEPT_UNTRUSTED', ...matches(san('URI', { exact: NAME })) },
  'untrusting-pinned': { trust_chain_verification: 'ACCEPT_UNTRUSTED', verify_certificate_hash: [plainHash] },
  revoking: { crl: { filename: '{{folder}}/crl.pem' } },
  'revoking-leaves': { crl: { filename: '{{folder}}/crl.pem' }, only_verify_leaf_cert_crl: true },
  'revoking-stale': { crl: { filename: '{{folder}}/stale.pem' } },
  'revoking-lenient': { crl: { filename: '{{folder}}/crl.pem' }, allow_expired_certificate: true },
  'revoking-all': { crl: { filename: '{{folder}}/crls.pem' } },
  'revoking-all-leaves': { crl: { filename: '{{folder}}/crls.pem' }, only_verify_leaf_cert_crl: true },
  'depth-0': { max_verify_depth: 0 },
  'depth-1': { max_verify_depth: 1 },
  'depth-2': { max_verify_depth: 2 },
  'depth-12': { max_verify_depth: 12 },
  'depth-13': { max_verify_depth: 13 },
  hash: { verify_certificate_hash: [OTHER_HASH, plainHash] },
  'hash-colons': { verify_certificate_hash: [hash(good.pem)] },
  'hash-other': { verify_certificate_hash: [OTHER_HASH] },
  spki: { verify_certificate_spki: [OTHER_SPKI, spki] },
  'spki-other': { verify_certificate_spki: [OTHER_SPKI] },
  'hash-or-spki': { verify_certificate_hash: [OTHER_HASH], verify_certificate_spki: [spki] },
  'pins-alone': { trusted_ca: undefined, verify_certificate_hash: [plainHash] },
  'uri-exact': matches(san('URI', { exact: NAME })),
  'uri-prefix': matches(san('URI', { prefix: 'spiffe://mesh.test/' })),
  'uri-suffix': matches(san('URI', { suffix: '/peer' })),
  'uri-contains': matches(san('URI', { contains: 'mesh' })),
  'uri-regex': matches(san('URI', { safe_regex: { regex: 'spiffe://mesh.test/.*' } })),
  'uri-other': matches(san('URI', { exact: 'spiffe://mesh.test/other' })),
  dns: matches(san('DNS', { exact: 'peer.test' })),
  'dns-capitals': matches(san('DNS', { exact: 'PEER.test' })),
  'dns-last': matches(san('DNS', { exact: 'n3999' })),
  'dns-missing': matches(san('DNS', { exact: 'n10001' }), san('DNS', { safe_regex: { regex: '.*[xyz]' } })),
  email: matches(san('EMAIL', { exact: 'a@peer.test' })),
  'email-other': matches(san('EMAIL', { exact: 'b@peer.test' })),
  'other-name': matches(san('OTHER_NAME', { exact: 'upn@peer.test' }, { oid: OID })),
  'other-name-other': matches(san('OTHER_NAME', { exact: 'upn@peer.test' }, { oid: '1.2.3.4' })),
  several: matches(san('DNS', { exact: 'else.test' }), san('URI', { prefix: 'spiffe://mesh.test/' })),
  spiffe: trustDomains('mesh.test'),
  'spiffe-two': trustDomains('mesh.test', 'else.test'),
  'spiffe-swapped': trustDomains('else.test', 'mesh.test'),
  'spiffe-map': {
    trusted_ca: undefined,
    custom_validator_config: {
      name: 'envoy.tls.cert_validator.spiffe',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
        trust_bundles: { filename: '{{folder}}/bundles.json' },
      },
    },
  },
  'spiffe-lenient': { ...trustDomains('mesh.test'), allow_expired_certificate: true },
  'spiffe-named': { ...trustDomains('mesh.test'), ...matches(san('URI', { exact: 'spiffe://mesh.test/other' })) },
};

const listeners = Object.entries(VALIDATIONS).map(([name, validation]) => ({
  name,
  address: loopback(0),
  filter_chains: [
    {
      filters: [manager(name)],
      transport_socket: downstreamTls(
        tlsContext('server', { trusted_ca: { filename: '{{folder}}/root.pem' }, ...validation }),
        { require_client_certificate: true },
      ),
    },
  ],
}));

/** Node's handshake succeeds whatever OpenSSL found, and Node sends no alert of its own. */
const NO_ALERT: Difference = {
  why: 'a refused caller sees the connection end after the handshake, and no alert; nothing it sent is read',
  at: { 'client[0].tls.*': { envoy: '*', tollway: '*' } },
};
const shut = (why: string): Difference => ({
  why,
  at: {
    'client[0].responses[0]': { envoy: '*', tollway: undefined },
    'client[0].end': { envoy: 'open', tollway: 'closed' },
    'upstreams.a[0]': { envoy: '*', tollway: undefined },
    'accessLog[0]': { envoy: '*', tollway: undefined },
  },
});

const show = (listener: string, what: Hostile, more: Partial<Case> = {}): Case => ({
  name: `${listener}: ${what}`,
  client: on(listener, { ...over({ ...HOSTILE[what], ciphers: 'DEFAULT@SECLEVEL=0' }, get('/')), withinMs: 2_000 }),
  ...more,
});
const letIn = (listener: string, ...whats: readonly Hostile[]): Case[] => whats.map((what) => show(listener, what));
const refused = (listener: string, ...whats: readonly Hostile[]): Case[] =>
  whats.map((what) => show(listener, what, { logLines: 0, differs: NO_ALERT }));
/** Envoy lets them in. */
const shutOut = (listener: string, why: string, ...whats: readonly Hostile[]): Case[] =>
  whats.map((what) => show(listener, what, { logLines: 0, differs: shut(why) }));
/** Let in by both, and shown to nobody. */
const unshown = (listener: string, ...whats: readonly Hostile[]): Case[] =>
  whats.map((what) =>
    show(listener, what, {
      differs: {
        why: 'a certificate that nobody vouches for is not forwarded as an identity',
        at: { 'upstreams.a[0].headers.*': { envoy: '*', tollway: '*' } },
      },
    }),
  );

const alsoTls = (one: Case): Case => ({
  ...one,
  differs: { why: TOO_LONG, at: { ...one.differs?.at, 'client[0].tls.*': { envoy: '*', tollway: '*' } } },
});

const issuerUnshown = (one: Case): Case => ({
  ...one,
  differs: {
    why: 'a certificate that nobody vouches for by its names is shown to nobody, nor is its issuer',
    at: {
      ...one.differs?.at,
      'accessLog[0].ISSUER_FINGERPRINT_256': { envoy: /./, tollway: null },
      'accessLog[0].ISSUER_SERIAL': { envoy: /./, tollway: null },
    },
  },
});

const WEAK = 'SHA-1 and RSA keys below 2048 bits prove nothing any more: OpenSSL refuses them at its security level 2';
const ONE_ID =
  'X509-SVID §2: one URI name; with two, an authority of one trust domain could vouch for members of another';
const PURPOSE = "the certificate's purpose counts whoever validates it; Envoy's SPIFFE validator does not ask";
const TOO_LONG = 'OpenSSL writes no session ticket for a certificate of more than 64 KiB, and the handshake ends';

const STATS_APART = [
  ...['200', '2xx', 'completed', 'total'].map((name) => `cluster.a.upstream_rq_${name}`),
  'http.*',
  'listener.<address>.http.*',
  ...['connection_error', 'fail_verify_error', 'handshake', 'versions.TLSv1.3'].map(
    (name) => `listener.<address>.ssl.${name}`,
  ),
  // Envoy names those of trust domains by their number
  'listener.<address>.ssl.certificate.*',
  ...tlsLibrary('listener.<address>'),
];

/** Hostile certificates of callers: who is let in, what is counted, and what is told of those who were. */
export const suite: Suite = {
  name: 'tls validation in',
  upstreams: ['a'],
  listener: 'mutual',
  files: {
    ...FILES,
    'root.pem': root.pem,
    'crl.pem': crl,
    'crls.pem': crls,
    'stale.pem': staleCrl,
    'bundles.json': bundleMap,
  },
  bootstrap: {
    ...http({ clusters: { a: ['a'] }, ...ROUTES }),
    static_resources: {
      ...(http({ clusters: { a: ['a'] }, ...ROUTES }) as { readonly static_resources: object }).static_resources,
      listeners,
    },
  },
  cases: [
    ...letIn('mutual', 'good', 'by an intermediate', 'with the root at its end', 'chain in the wrong order'),
    ...refused('mutual', 'without the intermediate', 'expired', 'not yet valid', 'expired authority'),
    ...refused('mutual', 'for servers only', 'for code signing only', 'authority for servers only'),
    ...letIn('mutual', 'for clients only', 'for both', 'authority for clients only'),
    ...refused('mutual', 'a leaf as authority', 'authority without basic constraints', 'authority that may not sign'),
    ...refused('mutual', 'path too long', 'name outside of the permitted', 'name that is excluded'),
    ...refused('mutual', 'URI outside of the permitted', 'unknown critical extension'),
    ...letIn('mutual', 'names within the constraints'),
    ...refused('mutual', 'authority with an unknown critical extension'),
    ...shutOut('mutual', WEAK, 'signed with SHA-1', 'authority signed with SHA-1', 'RSA of 1024 bits'),
    ...shutOut('mutual', WEAK, 'by an authority of 1024 bits'),
    ...refused('mutual', 'self-signed', 'self-signed with the name of the root', 'of another root'),
    ...refused('mutual', 'of another root, which it brings', 'the root itself', 'signed by another key'),
    ...refused('mutual', 'with a leaf that says it is an authority', 'key usage without signatures'),
    ...letIn('mutual', 'revoked', 'by a revoked authority', 'RSA of 2048 bits', 'without names', 'without key usage'),
    ...letIn('mutual', 'without an SPIFFE id', 'of another trust domain', 'two SPIFFE ids'),
    ...letIn('mutual', '4,000 names', 'chain of 12', 'strangers in the chain'),
    ...letIn('mutual', 'an e-mail address and another name'),
    ...shutOut('mutual', TOO_LONG, '10,000 names').map(alsoTls),
    show('mutual', '10,000 long names', { logLines: 0 }),
    ...letIn('lenient', 'good', 'expired', 'not yet valid', 'expired authority', 'revoked'),
    ...letIn('lenient', 'names within the constraints'),
    ...refused('lenient', 'of another root', 'self-signed', 'name that is excluded', 'for servers only'),
    ...refused(
      'lenient',
      'a leaf as authority',
      'unknown critical extension',
      'signed by another key',
      'path too long',
    ),
    ...refused('lenient', 'expired and excluded', 'expired and for servers only', 'expired and below a leaf'),
    ...refused('lenient', 'expired and of another root', 'expired and with an unknown critical extension'),
    ...letIn('lenient', 'expired, below an expired authority'),
    ...shutOut('lenient', WEAK, 'signed with SHA-1', 'expired and signed with SHA-1'),
    ...letIn('untrusting', 'good'),
    ...unshown('untrusting', 'expired', 'self-signed', 'of another root', 'for servers only'),
    ...letIn('untrusting', 'without names'),
    ...letIn('untrusting-named', 'good'),
    ...unshown('untrusting-named', 'expired', 'of another root'),
    ...unshown('untrusting-named', 'without names').map(issuerUnshown),
    ...letIn('untrusting-pinned', 'good'),
    ...unshown('untrusting-pinned', 'of another root'),
    ...letIn('revoking', 'good'),
    ...refused('revoking', 'revoked', 'by a revoked authority', 'by an intermediate', 'of another root'),
    ...letIn('revoking-leaves', 'good'),
    ...refused('revoking-leaves', 'revoked', 'by a revoked authority', 'by an intermediate'),
    ...letIn('revoking-all', 'good', 'by an intermediate'),
    ...refused('revoking-all', 'revoked', 'by a revoked authority'),
    ...letIn('revoking-all-leaves', 'good', 'by an intermediate', 'by a revoked authority'),
    ...refused('revoking-all-leaves', 'revoked'),
    ...refused('revoking-stale', 'good', 'revoked'),
    ...letIn('revoking-lenient', 'good', 'expired'),
    ...refused('revoking-lenient', 'revoked', 'expired and revoked'),
    ...['depth-0', 'depth-1'].flatMap((listener) => [
      ...letIn(listener, 'good'),
      ...refused(listener, 'by an intermediate', 'chain of 12'),
    ]),
    ...letIn('depth-2', 'good', 'by an intermediate'),
    ...refused('depth-2', 'chain of 12', 'path too long'),
    ...letIn('depth-13', 'chain of 12'),
    ...refused('depth-12', 'chain of 12'),
    ...['hash', 'hash-colons', 'spki', 'hash-or-spki', 'pins-alone'].flatMap((listener) => [
      ...letIn(listener, 'good'),
      ...refused(listener, 'of another root'),
    ]),
    ...['hash-other', 'spki-other'].flatMap((listener) => refused(listener, 'good', 'of another root')),
    ...['uri-exact', 'uri-prefix', 'uri-contains', 'uri-regex'].flatMap((listener) => [
      ...letIn(listener, 'good'),
      ...refused(listener, 'without names', 'of another trust domain'),
    ]),
    ...refused('uri-other', 'good', 'without names'),
    ...['uri-suffix', 'dns', 'dns-capitals'].flatMap((listener) => [
      ...letIn(listener, 'good', 'of another trust domain'),
      ...refused(listener, 'without names'),
    ]),
    ...letIn('dns-last', '4,000 names'),
    ...refused('dns-missing', '4,000 names'),
    ...['email', 'other-name'].flatMap((listener) => [
      ...refused(listener, 'good'),
      ...letIn(listener, 'an e-mail address and another name'),
    ]),
    ...['email-other', 'other-name-other'].flatMap((listener) =>
      refused(listener, 'good', 'an e-mail address and another name'),
    ),
    ...letIn('several', 'good'),
    ...refused('several', 'of another root'),
    ...['spiffe', 'spiffe-two', 'spiffe-map'].flatMap((listener) => [
      ...letIn(listener, 'good', 'by an intermediate'),
      ...refused(listener, 'expired', 'of another trust domain', 'without an SPIFFE id', 'self-signed'),
      ...refused(listener, 'with a leaf that says it is an authority', 'without key usage'),
      ...shutOut(listener, PURPOSE, 'for servers only'),
      ...shutOut(listener, ONE_ID, 'two SPIFFE ids'),
    ]),
    ...letIn('spiffe-swapped', 'of another trust domain'),
    ...refused('spiffe-swapped', 'good', 'by an intermediate', 'two SPIFFE ids', 'self-signed'),
    ...letIn('spiffe-lenient', 'good', 'expired', 'expired authority'),
    ...refused('spiffe-lenient', 'of another trust domain', 'expired and excluded'),
    ...refused('spiffe-named', 'good', 'of another trust domain'),
  ],
  statsDiffer: countedApart(
    `Envoy makes filters before the handshake, and lets in some that are refused here; ${TLS_LIBRARY}`,
    STATS_APART,
  ),
};
