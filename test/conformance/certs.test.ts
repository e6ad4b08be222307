/** `/certs` and what ends when, of both proxies on the same certificates. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { clusterOf, httpManager, loopback } from './harness/case.ts';
import { certificate, downstreamTls, upstreamTls } from './harness/certificates.ts';
import { findEnvoy, type ProxyKind, startProxy } from './harness/proxies.ts';

const skip = findEnvoy() === undefined ? 'Envoy is not installed: npm run peers' : false;
const HOUR_MS = 3_600_000;
const now = () => Date.now();
const ca = new DevCa({ now, trustDomain: 'mesh.test', intermediate: true });
const other = new DevCa({ now, trustDomain: 'mesh.test' });
// half an hour off whole days: both count the same days whenever they are asked
const long = ca.issue({
  spiffeId: 'spiffe://mesh.test/a',
  dnsNames: ['a.test', 'b.test'],
  ips: ['10.1.2.3', '2001:db8::1'],
  ttlMs: 72.5 * HOUR_MS,
});
const short = other.issue({ dnsNames: ['short.test'], ttlMs: HOUR_MS });
const over = other.issue({ dnsNames: ['over.test'], ttlMs: -5_000 });
const FILES = {
  'long.pem': long.chain,
  'long.key': long.key,
  'short.pem': short.chain,
  'short.key': short.key,
  'over.pem': over.chain,
  'over.key': over.key,
  'ca.pem': ca.rootPem + other.rootPem,
};
const stapled = {
  ...certificate('short'),
  ocsp_staple: { inline_bytes: other.staple(short.serial, 2 * HOUR_MS).toString('base64') },
};
const trust = { validation_context: { trusted_ca: { filename: '{{folder}}/ca.pem' } } };
const inline = {
  tls_certificates: [{ certificate_chain: { inline_string: long.chain }, private_key: { inline_string: long.key } }],
  validation_context: { trusted_ca: { inline_string: ca.rootPem } },
};
const ROUTES = { routes: [{ match: { prefix: '/' }, route: { cluster: 'both' } }] };
const listener = (name: string, tls: object) => ({
  name,
  stat_prefix: name,
  address: loopback(0),
  filter_chains: [{ filters: [httpManager(name, ROUTES)], transport_socket: downstreamTls(tls) }],
});
const cluster = (name: string, tls: object) =>
  clusterOf(name, { endpoints: [], load_assignment: { cluster_name: name }, transport_socket: upstreamTls(tls) });
const BOOTSTRAP = {
  admin: { address: loopback(0) },
  static_resources: {
    listeners: [
      listener('several', { tls_certificates: [certificate('long'), stapled, certificate('over')], ...trust }),
      listener('inline', inline),
    ],
    clusters: [
      cluster('both', { tls_certificates: [certificate('long')], ...trust }),
      cluster('trust', trust),
      cluster('neither', {}),
    ],
  },
};

interface Row {
  readonly ca_cert: readonly { readonly days_until_expiration?: string }[];
  readonly cert_chain: readonly object[];
}

async function shown(kind: ProxyKind) {
  const proxy = await startProxy(kind, JSON.stringify(BOOTSTRAP), ['several', 'inline'], FILES);
  try {
    const ask = async (path: string) => (await fetch(`http://${proxy.admin}${path}`)).text();
    const { certificates }: { readonly certificates: readonly Row[] } = JSON.parse(
      (await ask('/certs')).replaceAll(proxy.folder, ''),
    );
    const rows = certificates.map((row) => ({
      ...row,
      // authorities end on a whole day, so that a second later there is a day less
      ca_cert: row.ca_cert.map(({ days_until_expiration, ...rest }) => ({
        ...rest,
        days: typeof days_until_expiration,
      })),
    }));
    const gauges = (await ask('/stats/prometheus'))
      .split('\n')
      .filter((line) => line.includes('expiration_unix_time_seconds') || line.includes('days_until_first_cert'));
    const ocsp = /seconds_until_first_ocsp_response_expiring: (\d+)/.exec(await ask('/stats'))?.[1];
    return {
      // in no order: Envoy lists its contexts as its hash table has them
      rows: rows.map((row) => JSON.stringify(row, null, 1)).sort(),
      gauges: gauges.sort(),
      ocsp: Math.round(Number(ocsp) / 60),
    };
  } finally {
    await proxy.stop();
  }
}

test('certificates and their ends are shown as Envoy shows them', { skip, timeout: 60_000 }, async () => {
  const [envoy, tollway] = [await shown('envoy'), await shown('tollway')];
  assert.equal(tollway.rows.length, 5);
  assert.deepEqual(tollway.rows, envoy.rows);
  assert.equal(tollway.ocsp, envoy.ocsp);
  // of several without a name Envoy shows the one it built last, Tollway the first to end
  const several = (line: string) => !(line.includes('unnamed_cert') && line.includes('"several"'));
  assert.deepEqual(tollway.gauges.filter(several), envoy.gauges.filter(several));
  assert.ok(tollway.gauges.length > 5);
});
