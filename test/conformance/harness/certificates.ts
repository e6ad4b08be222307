/** Certificates of the suites that speak TLS: made once a process, so both proxies get the same. */
import { DevCa, type IssuedLeaf, type LeafRequest } from '../../../certs/source/dev-ca.ts';
import { type Difference, typeUrl } from './case.ts';

const HOUR_MS = 3_600_000;
const now = () => Date.now();
/** Of all: in the middle of a second, so that it is the same second whenever each is made. */
const ENDS_AT = Math.floor((now() + HOUR_MS) / 1_000) * 1_000 + 500;

export const ca = new DevCa({ now, trustDomain: 'mesh.test', skewMs: 60_000 });
export const otherCa = new DevCa({ now, trustDomain: 'mesh.test', skewMs: 60_000 });

export const issue = (request: LeafRequest, issuer: DevCa = ca): IssuedLeaf =>
  issuer.issue({ ttlMs: ENDS_AT - now(), ...request });

export const server = issue({ spiffeId: 'spiffe://mesh.test/server', dnsNames: ['server.test', 'localhost'] });
export const client = issue({ spiffeId: 'spiffe://mesh.test/client', dnsNames: ['client.test'] });
export const expired = ca.issue({ spiffeId: 'spiffe://mesh.test/client', ttlMs: -30_000 });
export const stranger = issue({ spiffeId: 'spiffe://mesh.test/client' }, otherCa);
export const other = issue({ spiffeId: 'spiffe://mesh.test/other' });

/** Files for a suite: `server.pem`, `server.key`, `client.pem`, `client.key`, `ca.pem`. */
export const FILES: { readonly [name: string]: string } = {
  'server.pem': server.chain,
  'server.key': server.key,
  'client.pem': client.chain,
  'client.key': client.key,
  'ca.pem': ca.rootPem,
};

export const certificate = (name: string): object => ({
  certificate_chain: { filename: `{{folder}}/${name}.pem` },
  private_key: { filename: `{{folder}}/${name}.key` },
});

/** A `common_tls_context` with one certificate. */
export const tlsContext = (name: string | undefined, validation?: object, more: object = {}): object => ({
  ...(name === undefined ? {} : { tls_certificates: [certificate(name)] }),
  ...(validation === undefined
    ? {}
    : { validation_context: { trusted_ca: { filename: '{{folder}}/ca.pem' }, ...validation } }),
  ...more,
});

export const uriSan = (matcher: object): object => ({
  match_typed_subject_alt_names: [{ san_type: 'URI', matcher }],
});

/** A transport socket for a filter chain. */
export const downstreamTls = (common: object, more: object = {}): object => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
    common_tls_context: common,
    ...more,
  },
});

/** A transport socket for a cluster. */
export const upstreamTls = (common: object, more: object = {}): object => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
    common_tls_context: common,
    ...more,
  },
});

export const TLS_INSPECTOR: object = {
  name: 'envoy.filters.listener.tls_inspector',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector') },
};

/** What Node's OpenSSL chooses or keeps to itself where Envoy's BoringSSL does otherwise: statistics below `scope`. */
export const tlsLibrary = (scope: string): readonly string[] =>
  ['ciphers', 'curves', 'sigalgs'].map((group) => `${scope}.ssl.${group}.*`);

export const TLS_LIBRARY =
  "OpenSSL prefers other TLS 1.3 ciphers and curves than BoringSSL, and Node tells neither a server's curve nor the peer's signature algorithm";

/** Envoy's words after `TLS_error:|<BoringSSL's code and path>:`, against OpenSSL's code alone. */
export const tlsFailure = (envoy: RegExp, tollway: RegExp): Difference => ({
  why: "the TLS library's own words: codes and paths of BoringSSL there, OpenSSL's name of the fault here",
  at: Object.fromEntries(['details', 'failure'].map((field) => [`accessLog[0].${field}`, { envoy, tollway }])),
});
