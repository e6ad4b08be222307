/** OCSP responses of the development authority (RFC 6960 §4.2.1): one certificate, good, signed by its issuer. */
import { createHash, type KeyObject } from 'node:crypto';
import { signed } from '../csr.ts';
import {
  decode,
  encode,
  explicit,
  generalizedTime,
  implicit,
  integer,
  type Node,
  nothing,
  octets,
  oid,
  sequence,
} from '../der.ts';

export interface OcspRequest {
  /** Hex. */
  readonly serial: string;
  readonly issuerName: Node;
  readonly issuerKey: KeyObject;
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
}

const OCSP_BASIC = '1.3.6.1.5.5.7.48.1.1';
const SHA1 = '1.3.14.3.2.26';

/** DER. `keyBits`: the issuer's public key without algorithm, as its certificate has it. */
export function ocspResponse(request: OcspRequest, keyBits: Buffer): Buffer {
  // RFC 6960 §4.1.1: SHA-1 names the issuer here and secures nothing
  const sha1 = (bytes: Buffer): Buffer => createHash('sha1').update(bytes).digest();
  const certId = sequence(
    sequence(oid(SHA1), nothing()),
    octets(sha1(encode(request.issuerName))),
    octets(sha1(keyBits)),
    integer(Buffer.from(request.serial, 'hex')),
  );
  const single = [certId, implicit(0, Buffer.alloc(0)), generalizedTime(request.thisUpdate)];
  if (request.nextUpdate !== undefined) single.push(explicit(0, generalizedTime(request.nextUpdate)));
  const data = sequence(
    explicit(2, octets(sha1(keyBits))),
    generalizedTime(request.thisUpdate),
    sequence(sequence(...single)),
  );
  const basic = signed(data, request.issuerKey);
  return encode(sequence(enumerated(0), explicit(0, sequence(oid(OCSP_BASIC), octets(basic)))));
}

/** As an integer with another tag. */
function enumerated(value: number): Node {
  return decode(Buffer.from([10, 1, value]));
}
