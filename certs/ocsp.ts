/** OCSP staples (RFC 6960 §4.2) as far as a server that hands them on needs to know them, and who must have one. */
import type { X509Certificate } from 'node:crypto';
import { bytesOf, children, decode, encode, integer, type Node, oidOf } from './der.ts';
import { extensionValue } from './names.ts';
import type { Staple } from './staple.ts';

const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';
const TLS_FEATURES = '1.3.6.1.5.5.7.1.24';
const ENUMERATED = 10;
const GENERALIZED_TIME = 24;
const CONTEXT_SPECIFIC = 0x80;
/** The TLS extension `status_request` as a feature (RFC 7633 §4.1). */
const STATUS_REQUEST = Buffer.from([5]);

/**
 * Reads a staple that belongs to the certificate. Throws what is wrong with it: it is no successful response, it speaks of
 * several certificates, or of another one.
 */
export function readStaple(der: Buffer, certificate: X509Certificate): Staple {
  const [status, bytes] = children(wellFormed(der));
  if (status?.type !== ENUMERATED || bytesOf(status)?.equals(Buffer.from([0])) !== true) {
    throw new Error('the OCSP response is not successful');
  }
  const [type, basic] = children(children(bytes)[0]);
  const body = bytesOf(basic);
  if (oidOf(type) !== BASIC_RESPONSE || body === undefined) throw new Error('the OCSP response is of an unknown type');
  const [data] = children(wellFormed(body));
  // version and the responder's id stand before the responses in brackets of their own
  const parts = children(data).filter((part) => part.tagClass !== CONTEXT_SPECIFIC);
  const responses = children(parts[1]);
  const [single] = responses;
  if (single === undefined || responses.length > 1) {
    throw new Error(`the OCSP response speaks of ${responses.length} certificates, not of one`);
  }
  const [id, , thisUpdate, nextUpdate] = children(single);
  const serial = children(id)[3];
  if (serial === undefined || !encode(serial).equals(encode(serialOf(certificate)))) {
    throw new Error('the OCSP response is for another certificate');
  }
  const next = nextUpdate?.tagClass === CONTEXT_SPECIFIC ? children(nextUpdate)[0] : undefined;
  return { der, thisUpdate: timeOf(thisUpdate), nextUpdate: timeOf(next) };
}

/** RFC 7633: whoever asks for a staple must get one. */
export function mustStaple(certificate: X509Certificate): boolean {
  const value = extensionValue(certificate.raw, TLS_FEATURES);
  if (value === undefined) return false;
  return children(decode(value)).some((feature) => bytesOf(feature)?.equals(STATUS_REQUEST) === true);
}

function wellFormed(der: Buffer): Node {
  try {
    return decode(der);
  } catch {
    throw new Error('the OCSP response does not parse');
  }
}

function serialOf(certificate: X509Certificate): Node {
  const hex = certificate.serialNumber;
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  // an integer of DER is signed
  return integer((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** GeneralizedTime, always `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5.2). */
function timeOf(time: Node | undefined): number | undefined {
  if (time?.type !== GENERALIZED_TIME) return undefined;
  const text = bytesOf(time)?.toString('latin1') ?? '';
  const at = Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Number.isNaN(at)) throw new Error('the OCSP response does not parse');
  return at;
}
