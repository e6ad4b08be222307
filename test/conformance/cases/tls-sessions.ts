import { constants } from 'node:crypto';
import { countedApart, http, httpManager, loopback, type Suite } from '../harness/case.ts';
import {
  ca,
  certificate,
  client,
  downstreamTls,
  FILES,
  issue,
  TLS_INSPECTOR,
  TLS_LIBRARY,
  tlsContext,
  tlsLibrary,
} from '../harness/certificates.ts';
import { type ClientTls, type Exchange, get, on } from '../harness/client.ts';

const HOUR_MS = 3_600_000;
const must = issue({ dnsNames: ['must.test'], mustStaple: true });
const plain = issue({ dnsNames: ['plain.test'] });

const ROUTES = { routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] };
const stapled = (name: string, staple: Buffer): object => ({
  ...certificate(name),
  ocsp_staple: { inline_bytes: staple.toString('base64') },
});
const fresh = stapled('plain', ca.staple(plain.serial, HOUR_MS));
const old = stapled('plain', ca.staple(plain.serial, -HOUR_MS / 2));
const endless = stapled('plain', ca.staple(plain.serial, undefined));
const listener = (name: string, certificates: readonly object[], more: object = {}, common: object = {}) => ({
  name,
  address: loopback(0),
  listener_filters: [TLS_INSPECTOR],
  filter_chains: [
    {
      filters: [httpManager(name, ROUTES, { access_log: [] })],
      transport_socket: downstreamTls(
        tlsContext(undefined, undefined, { tls_certificates: certificates, ...common }),
        more,
      ),
    },
  ],
});
const mutual = (name: string, more: object = {}) => ({
  name,
  address: loopback(0),
  listener_filters: [TLS_INSPECTOR],
  filter_chains: [
    {
      filters: [httpManager(name, ROUTES, { access_log: [] })],
      transport_socket: downstreamTls(tlsContext('server', {}), { require_client_certificate: true, ...more }),
    },
  ],
});

const STAPLES = [
  listener('none', [certificate('plain')]),
  listener('none-strict', [certificate('plain')], { ocsp_staple_policy: 'STRICT_STAPLING' }),
  listener('fresh', [fresh]),
  listener('fresh-strict', [fresh], { ocsp_staple_policy: 'STRICT_STAPLING' }),
  listener('fresh-must', [fresh], { ocsp_staple_policy: 'MUST_STAPLE' }),
  listener('endless', [endless]),
  listener('old', [old]),
  listener('old-strict', [old], { ocsp_staple_policy: 'STRICT_STAPLING' }),
  listener('old-must', [old], { ocsp_staple_policy: 'MUST_STAPLE' }),
  listener('says-must', [stapled('must', ca.staple(must.serial, HOUR_MS))]),
  listener('says-must-old', [stapled('must', ca.staple(must.serial, -HOUR_MS / 2))]),
];
const SESSIONS = [
  mutual('tickets'),
  mutual('ids', { disable_stateless_session_resumption: true }),
  mutual('nothing', { disable_stateless_session_resumption: true, disable_stateful_session_resumption: true }),
  mutual('only-tickets', { disable_stateful_session_resumption: true }),
  mutual('timeout', { session_timeout: '3600s' }),
];
const listeners = [...STAPLES, ...SESSIONS];

const ask = (where: string, tls: ClientTls): Exchange => ({
  ...on(where, get('/')),
  tls,
  lingerMs: 30,
  withinMs: 2_000,
});
const OWN = { cert: client.chain, key: client.key };

/** OCSP staples by policy, and sessions that callers come back with. */
export const suite: Suite = {
  name: 'tls sessions',
  upstreams: ['a'],
  listener: 'none',
  files: { ...FILES, 'must.pem': must.chain, 'must.key': must.key, 'plain.pem': plain.chain, 'plain.key': plain.key },
  bootstrap: {
    ...http({ clusters: { a: ['a'] }, ...ROUTES }),
    static_resources: {
      ...(http({ clusters: { a: ['a'] }, ...ROUTES }) as { readonly static_resources: object }).static_resources,
      listeners,
    },
  },
  cases: [
    ...STAPLES.flatMap(({ name }) =>
      (['TLSv1.2', 'TLSv1.3'] as const).map((maxVersion) => ({
        name: `staple: ${name}, ${maxVersion}`,
        client: [ask(name, { requestOCSP: true, maxVersion }), ask(name, { maxVersion })],
        logLines: 0,
      })),
    ),
    ...SESSIONS.flatMap(({ name }) =>
      [
        { kind: 'TLS 1.2', tls: { maxVersion: 'TLSv1.2' as const } },
        {
          kind: 'TLS 1.2 without tickets',
          tls: { maxVersion: 'TLSv1.2' as const, secureOptions: constants.SSL_OP_NO_TICKET },
        },
        { kind: 'TLS 1.3', tls: {} },
      ].map(({ kind, tls }) => ({
        name: `session: ${name}, ${kind}`,
        client: [1, 2, 3].map(() => ask(name, { ...OWN, ...tls, session: kind })),
        logLines: 0,
      })),
    ),
  ],
  statsDiffer: countedApart(`Envoy makes filters before the handshake; ${TLS_LIBRARY}`, [
    ...tlsLibrary('listener.<address>'),
    ...['old-must', 'old-strict', 'says-must-old'].flatMap((name) =>
      ['cx_ssl_total', 'cx_total'].map((stat) => `http.${name}.downstream_${stat}`),
    ),
  ]),
};
