import { newKey } from '../../../certs/csr.ts';
import type { IssuedLeaf } from '../../../certs/source/dev-ca.ts';
import { countedApart, http, httpManager, loopback, type Suite } from '../harness/case.ts';
import {
  certificate,
  downstreamTls,
  FILES,
  issue,
  TLS_INSPECTOR,
  TLS_LIBRARY,
  tlsContext,
  tlsLibrary,
} from '../harness/certificates.ts';
import { type ClientTls, type Exchange, get, on } from '../harness/client.ts';

// one RSA key for all: they are slow to make
const rsaKey = newKey('rsa-2048');
const LEAVES: { readonly [name: string]: IssuedLeaf } = {
  'first-rsa': issue({ dnsNames: ['first-rsa.test'], key: rsaKey }),
  'first-ec': issue({ dnsNames: ['first-ec.test'] }),
  'a-rsa': issue({ dnsNames: ['a.test', 'a-rsa.test'], key: rsaKey }),
  'a-ec': issue({ dnsNames: ['a.test', 'a-ec.test'] }),
  'a-ec-again': issue({ dnsNames: ['a.test', 'again.test'] }),
  'b-rsa': issue({ dnsNames: ['b.test'], key: rsaKey }),
  'deep-ec': issue({ dnsNames: ['e.wild.test'] }),
  'wild-ec': issue({ dnsNames: ['*.wild.test'] }),
  'wild-rsa': issue({ dnsNames: ['*.wild.test', 'x.wild.test'], key: rsaKey }),
};

const ROUTES = { routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] };
const listener = (name: string, leaves: readonly string[], more: object = {}) => ({
  name,
  address: loopback(0),
  listener_filters: [TLS_INSPECTOR],
  filter_chains: [
    {
      filters: [httpManager(name, ROUTES, { access_log: [] })],
      transport_socket: downstreamTls(
        tlsContext(undefined, undefined, { tls_certificates: leaves.map(certificate) }),
        more,
      ),
    },
  ],
});

const ALL = ['first-rsa', 'a-rsa', 'a-ec', 'a-ec-again', 'b-rsa', 'wild-ec', 'wild-rsa', 'deep-ec'];
const EC_FIRST = ['first-ec', 'first-rsa', 'a-ec', 'b-rsa'];
const listeners = [
  listener('all', ALL),
  listener('scan', ALL, { full_scan_certs_on_sni_mismatch: true }),
  listener('ec-first', EC_FIRST),
  listener('ec-first-scan', EC_FIRST, { full_scan_certs_on_sni_mismatch: true }),
];

/** What clients can verify. */
const CLIENTS: { readonly [kind: string]: ClientTls } = {
  both: { sigalgs: 'ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256' },
  rsa: { sigalgs: 'rsa_pss_rsae_sha256:rsa_pkcs1_sha256' },
  ec: { sigalgs: 'ecdsa_secp256r1_sha256' },
  'both 1.2': { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256' },
  'rsa 1.2': { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
  'no P-256 1.2': {
    maxVersion: 'TLSv1.2',
    ecdhCurve: 'X25519',
    ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
  },
};
const NAMES = [
  '',
  'a.test',
  'a-ec.test',
  'a-rsa.test',
  'again.test',
  'b.test',
  'x.wild.test',
  'z.wild.test',
  'y.z.wild.test',
  'e.wild.test',
  'wild.test',
  'none.test',
];
const ask = (where: string, servername: string, tls: ClientTls): Exchange => ({
  ...on(where, get('/')),
  tls: { ...tls, ...(servername === '' ? {} : { servername }) },
  lingerMs: 5,
  withinMs: 2_000,
});

/** Which certificate a caller is shown where a listener has several. */
export const suite: Suite = {
  name: 'tls certificates',
  upstreams: ['a'],
  listener: 'all',
  files: {
    ...FILES,
    ...Object.fromEntries(
      Object.entries(LEAVES).flatMap(([name, { chain, key }]) => [
        [`${name}.pem`, chain],
        [`${name}.key`, key],
      ]),
    ),
  },
  bootstrap: {
    ...http({ clusters: { a: ['a'] }, ...ROUTES }),
    static_resources: {
      ...(http({ clusters: { a: ['a'] }, ...ROUTES }) as { readonly static_resources: object }).static_resources,
      listeners,
    },
  },
  cases: [
    {
      name: 'capitals in the server name',
      client: ask('all', 'B.Test', CLIENTS.both ?? {}),
      logLines: 0,
      differs: {
        why: 'host names are the same in capitals and in small letters (RFC 6066 §3); Envoy compares the bytes',
        at: { 'client[0].tls.server': { envoy: 'DNS:first-rsa.test', tollway: 'DNS:b.test' } },
      },
    },
    ...listeners.flatMap(({ name: where }) =>
      Object.entries(CLIENTS).map(([kind, tls]) => ({
        name: `${where}: ${kind}`,
        client: NAMES.map((name) => ask(where, name, tls)),
        logLines: 0,
      })),
    ),
  ],
  statsDiffer: countedApart(`Envoy makes filters before the handshake; ${TLS_LIBRARY}`, [
    ...tlsLibrary('listener.<address>').filter((name) => !name.includes('sigalgs')),
    ...['all', 'scan', 'ec-first', 'ec-first-scan'].flatMap((name) =>
      ['cx_ssl_total', 'cx_total'].map((stat) => `http.${name}.downstream_${stat}`),
    ),
  ]),
};
