/** `/certs`, as envoy.admin.v3.Certificates. Public material only. */
import { X509Certificate } from 'node:crypto';
import { isoTime, json, type Page } from '../page.ts';
import type { AdminSources, CertificateStatus } from '../sources.ts';

const DAY_MS = 86_400_000;

export function certsPage(sources: AdminSources, now: () => number): Page {
  return {
    path: '/certs',
    help: 'print certs on machine',
    answer: () => {
      // a mesh's thousand clusters have one certificate: it is read once
      const read = new Map<string, object[]>();
      const shown = (material: CertificateStatus['ca']): object[] => {
        if (material === undefined) return [];
        const key = `${material.path}\n${material.pem}`;
        const known = read.get(key) ?? details(material.path, material.pem, now());
        read.set(key, known);
        return known;
      };
      const rows = sources.certificates();
      return json({ certificates: rows.map(({ ca, chain }) => ({ ca_cert: shown(ca), cert_chain: shown(chain) })) });
    },
  };
}

/** Every certificate of a PEM bundle; what does not parse is left out. */
function details(path: string, pem: string, now: number): object[] {
  return certificates(pem).map((certificate) => {
    const from = Date.parse(certificate.validFrom);
    const to = Date.parse(certificate.validTo);
    return {
      path,
      serial_number: certificate.serialNumber.toLowerCase(),
      subject_alt_names: alternativeNames(certificate.subjectAltName),
      days_until_expiration: String(Math.max(0, Math.floor((to - now) / DAY_MS))),
      valid_from: isoTime(from).replace('.000Z', 'Z'),
      expiration_time: isoTime(to).replace('.000Z', 'Z'),
    };
  });
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
      kind === 'DNS' ? { dns: value } : kind === 'URI' ? { uri: value } : { ip_address: value },
    );
  }
  return Object.values(found).flat();
}
