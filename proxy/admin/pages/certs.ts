/** `/certs`, as envoy.admin.v3.Certificates. Public material only. */
import { X509Certificate } from 'node:crypto';
import { isIP, SocketAddress } from 'node:net';
import { isoTime, json, type Page } from '../page.ts';
import type { AdminSources, ShownMaterial } from '../sources.ts';

const DAY_MS = 86_400_000;

export function certsPage(sources: AdminSources, now: () => number): Page {
  return {
    path: '/certs',
    help: 'print certs on machine',
    answer: () => {
      // a mesh's thousand clusters have one certificate: it is read once
      const read = new Map<string, readonly object[]>();
      const shown = (material: ShownMaterial): readonly object[] => {
        const key = `${material.path}\n${material.pem}`;
        const known = read.get(key) ?? details(material, now());
        read.set(key, known);
        return known;
      };
      const rows = sources.certificates();
      return json({
        certificates: rows.map(({ ca, chains }) => ({
          ca_cert: ca === undefined ? [] : shown(ca),
          cert_chain: chains.flatMap((chain) => shown(chain).slice(0, 1)),
        })),
      });
    },
  };
}

/** Every certificate of a PEM bundle; what does not parse is left out. */
function details({ path, pem, staple }: ShownMaterial, now: number): object[] {
  return certificates(pem).map((certificate) => {
    const from = Date.parse(certificate.validFrom);
    const to = Date.parse(certificate.validTo);
    return {
      path,
      serial_number: certificate.serialNumber.toLowerCase(),
      subject_alt_names: alternativeNames(certificate.subjectAltName),
      days_until_expiration: String(Math.max(0, Math.floor((to - now) / DAY_MS))),
      valid_from: wholeSeconds(from),
      expiration_time: wholeSeconds(to),
      ...(staple === undefined ? {} : { ocsp_details: stapleDetails(staple) }),
    };
  });
}

function stapleDetails({ validFrom, expiration }: NonNullable<ShownMaterial['staple']>): object {
  return {
    ...(validFrom === undefined ? {} : { valid_from: wholeSeconds(validFrom) }),
    ...(expiration === undefined ? {} : { expiration: wholeSeconds(expiration) }),
  };
}

function wholeSeconds(ms: number): string {
  return isoTime(ms).replace('.000Z', 'Z');
}

/** Whole days until the first of these bundles' certificates expires; `undefined` when there is none. */
export function daysUntilFirstExpiry(bundles: readonly string[], now: number): number | undefined {
  let first: number | undefined;
  for (const certificate of bundles.flatMap(certificates)) {
    const days = Math.max(0, Math.floor((Date.parse(certificate.validTo) - now) / DAY_MS));
    if (first === undefined || days < first) first = days;
  }
  return first;
}

function certificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

/** Node's `DNS:a, URI:b` to Envoy's list: names first, then URIs, then addresses. */
function alternativeNames(names: string | undefined): object[] {
  const found: { [kind: string]: object[] } = { DNS: [], URI: [], 'IP Address': [] };
  // A name that holds a comma comes as a quoted JSON string.
  for (const [, kind, quoted, bare] of (names ?? '').matchAll(
    /(DNS|URI|IP Address):(?:"((?:[^"\\]|\\.)*)"|([^,]*))/g,
  )) {
    const value = bare ?? JSON.parse(`"${quoted}"`);
    found[kind as string]?.push(
      kind === 'DNS' ? { dns: value } : kind === 'URI' ? { uri: value } : { ip_address: shortAddress(value) },
    );
  }
  return Object.values(found).flat();
}

/** OpenSSL writes IPv6 without `::`. */
function shortAddress(address: string): string {
  return isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}
