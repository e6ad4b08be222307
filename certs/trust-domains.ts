/** Bundles of trust domains: who vouches for whom (SPIFFE Trust Domain and Bundle §4, and its bundle map). */
import type { TrustDomain } from './material.ts';

/**
 * A SPIFFE bundle map: `{"trust_domains": {"<name>": {"keys": [{"use": "x509-svid", "x5c": ["<DER, base64>"]}]}}}`. Keys of
 * other uses are left out. Throws with the reason when it is none, or when a domain has no authority.
 */
export function readBundleMap(json: string): TrustDomain[] {
  let map: unknown;
  try {
    map = JSON.parse(json);
  } catch {
    // the parser's words quote the text
    throw new Error('the bundle map is not JSON');
  }
  const domains = Object.entries(record(member(map, 'trust_domains'), 'trust_domains'));
  if (domains.length === 0) throw new Error('the bundle map has no trust domain');
  return domains.map(([name, bundle]) => ({ name, authorities: authoritiesOf(name, bundle) }));
}

function authoritiesOf(name: string, bundle: unknown): string {
  const keys = member(bundle, 'keys');
  if (!Array.isArray(keys)) throw new Error(`the bundle of "${name}" has no list of keys`);
  const blocks = keys
    .filter((key: unknown) => member(key, 'use') === 'x509-svid')
    .map((key: unknown) => {
      const chain = member(key, 'x5c');
      const first: unknown = Array.isArray(chain) ? chain[0] : undefined;
      if (typeof first !== 'string' || !/^[A-Za-z0-9+/=\s]+$/.test(first)) {
        throw new Error(`a key of the bundle of "${name}" has no certificate in x5c`);
      }
      const lines = first.replaceAll(/\s/g, '').match(/.{1,64}/g) ?? [];
      return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
    });
  if (blocks.length === 0) throw new Error(`the bundle of "${name}" has no key for x509-svid`);
  return blocks.join('');
}

function member(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null && Object.hasOwn(of, name) ? Reflect.get(of, name) : undefined;
}

function record(value: unknown, name: string): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`the bundle map has no ${name}`);
  return value;
}
