/** What the certificates of one side tell: `DOWNSTREAM_PEER_SUBJECT` and its like. */
import type { ChainMember, PeerCertificate, TlsInfo } from '../../http/connection-info.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { type Make, type Operator, plain } from './operator.ts';
import { compileTime } from './time-format.ts';

type Read<T> = (info: StreamInfo) => T | undefined;

const none: Make = () => () => undefined;

/** A list without members is no value. */
const list = (values: readonly string[] | undefined): string | undefined => text(values?.join(','));
const text = (value: string | undefined): string | undefined => (value === '' ? undefined : value);

export function certificateOperators(side: 'DOWNSTREAM' | 'UPSTREAM', of: Read<TlsInfo>): [string, Make][] {
  const peer: Read<PeerCertificate> = (info) => of(info)?.peer;
  return [
    [`${side}_TLS_VERSION`, plain((info) => of(info)?.version)],
    [`${side}_TLS_CIPHER`, plain((info) => of(info)?.cipher)],
    [`${side}_TLS_SESSION_ID`, none],
    [`${side}_TLS_GROUP`, none],
    [`${side}_PEER_URI_SAN`, plain((info) => list(peer(info)?.sans.uris))],
    [`${side}_PEER_DNS_SAN`, plain((info) => list(peer(info)?.sans.dnsNames))],
    [`${side}_PEER_IP_SAN`, plain((info) => list(peer(info)?.sans.ips))],
    [`${side}_PEER_EMAIL_SAN`, plain((info) => list(peer(info)?.sans.emails))],
    [`${side}_PEER_OTHERNAME_SAN`, plain((info) => list(peer(info)?.sans.others))],
    [`${side}_PEER_SUBJECT`, plain((info) => text(peer(info)?.subject))],
    [`${side}_PEER_ISSUER`, plain((info) => text(peer(info)?.issuer))],
    [`${side}_PEER_SERIAL`, plain((info) => peer(info)?.serial)],
    [`${side}_PEER_FINGERPRINT_256`, plain((info) => peer(info)?.fingerprint256)],
    [`${side}_PEER_FINGERPRINT_1`, plain((info) => peer(info)?.fingerprint1)],
    [
      `${side}_PEER_CERT`,
      plain((info) => {
        const certificate = peer(info);
        return certificate === undefined ? undefined : encodeURIComponent(certificate.pem());
      }),
    ],
    [`${side}_PEER_CERT_V_START`, day((info) => peer(info)?.notBefore)],
    [`${side}_PEER_CERT_V_END`, day((info) => peer(info)?.notAfter)],
    [`${side}_LOCAL_URI_SAN`, plain((info) => list(of(info)?.localSans.uris))],
    [`${side}_LOCAL_DNS_SAN`, plain((info) => list(of(info)?.localSans.dnsNames))],
    [`${side}_LOCAL_IP_SAN`, plain((info) => list(of(info)?.localSans.ips))],
    [`${side}_LOCAL_EMAIL_SAN`, plain((info) => list(of(info)?.localSans.emails))],
    [`${side}_LOCAL_OTHERNAME_SAN`, plain((info) => list(of(info)?.localSans.others))],
    [`${side}_LOCAL_SUBJECT`, plain((info) => text(of(info)?.localSubject))],
  ];
}

/** Envoy has them of downstreams alone. */
export function chainOperators(of: Read<TlsInfo>): [string, Make][] {
  const chain = (read: (member: ChainMember) => string): Operator => {
    return (info) => list(of(info)?.peer?.chain().map(read));
  };
  return [
    ['DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256', plain(chain((member) => member.fingerprint256))],
    ['DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1', plain(chain((member) => member.fingerprint1))],
    ['DOWNSTREAM_PEER_CHAIN_SERIALS', plain(chain((member) => member.serial))],
    ['DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256', plain((info) => of(info)?.peer?.issuedBy()?.fingerprint256)],
    ['DOWNSTREAM_PEER_ISSUER_SERIAL', plain((info) => of(info)?.peer?.issuedBy()?.serial)],
  ];
}

/** A time in the format of the operator's argument. */
function day(read: Read<number>): Make {
  return (argument) => {
    const format = compileTime(argument, false);
    if (typeof format !== 'function') return format;
    return (info) => {
      const at = read(info);
      return at === undefined ? undefined : format(at);
    };
  };
}
