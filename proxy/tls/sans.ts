/** Subject alternative names of a certificate, and the matchers that a configuration holds against them. */
import type { X509Certificate } from 'node:crypto';
import { isIP, SocketAddress } from 'node:net';
import { RE2JS } from 're2js';
import { type GeneralNames, subjectNames } from '../../certs/chain/general-names.ts';
import type { StringMatch } from '../../xds-client/model/common.ts';
import type { SanMatch } from '../../xds-client/model/tls.ts';

export type Sans = GeneralNames;

const read = new WeakMap<X509Certificate, Sans>();

/** The SANs, read once a certificate; none where there are none. */
export function sansOf(certificate: X509Certificate): Sans {
  let sans = read.get(certificate);
  if (sans === undefined) {
    sans = subjectNames(certificate);
    read.set(certificate, sans);
  }
  return sans;
}

export type SanMatcher = (sans: Sans) => boolean;

/** Compiles the list: true when one SAN matches one entry. Throws when a regex is not RE2's. */
export function compileSanMatches(matches: readonly SanMatch[]): SanMatcher {
  const compiled = matches.map(compileOne);
  return (sans) => compiled.some((match) => match(sans));
}

function compileOne({ type, oid, match }: SanMatch): SanMatcher {
  const matches = compileString(match);
  // an exact DNS matcher honours the certificate's wildcard, as Envoy's does
  const exactDns = match.kind === 'exact' ? match.value : undefined;
  const dns = (name: string) => (exactDns === undefined ? matches(name) : dnsNameMatches(exactDns, name));
  switch (type) {
    case 'uri':
      return (sans) => sans.uris.some(matches);
    case 'dns':
      return (sans) => sans.dnsNames.some(dns);
    case 'ip':
      return (sans) => sans.ips.some(matches);
    case 'email':
      return (sans) => sans.emails.some(matches);
    case 'other':
      return (sans) => sans.others.some((other) => other.oid === oid && matches(other.value));
    case 'any':
      return (sans) =>
        sans.uris.some(matches) || sans.dnsNames.some(dns) || sans.ips.some(matches) || sans.emails.some(matches);
  }
}

function compileString(match: StringMatch): (value: string) => boolean {
  if (match.kind === 'regex') {
    const regex = RE2JS.compile(match.value, match.ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
    return (value) => regex.matches(value);
  }
  const wanted = match.ignoreCase ? match.value.toLowerCase() : match.value;
  const fold = match.ignoreCase ? (value: string) => value.toLowerCase() : (value: string) => value;
  switch (match.kind) {
    case 'exact':
      return (value) => fold(value) === wanted;
    case 'prefix':
      return (value) => fold(value).startsWith(wanted);
    case 'suffix':
      return (value) => fold(value).endsWith(wanted);
    case 'contains':
      return (value) => fold(value).includes(wanted);
  }
}

/** RFC 6125 §6.4.3: `*` stands for one whole leftmost label of the certificate's name. */
export function dnsNameMatches(host: string, certificateName: string): boolean {
  const name = certificateName.toLowerCase();
  const wanted = host.toLowerCase();
  if (name === wanted) return true;
  if (!name.startsWith('*.')) return false;
  const dot = wanted.indexOf('.');
  return dot > 0 && name.length > 2 && wanted.slice(dot) === name.slice(1);
}

/** Configurations may write IPv6 long. */
function normalIp(text: string): string {
  return isIP(text) === 6 ? new SocketAddress({ address: text, family: 'ipv6' }).address : text;
}

/** For `auto_san_validation`: the name or address that the connection was meant for. */
export function hasExpectedSan(sans: Sans, expected: string): boolean {
  if (isIP(expected) !== 0) return sans.ips.includes(normalIp(expected));
  return sans.dnsNames.some((name) => dnsNameMatches(expected, name));
}
