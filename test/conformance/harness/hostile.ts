/** What hostile peers show, to either side: made once a process, so that both proxies get the same. */
import { randomBytes } from 'node:crypto';
import { bits } from '../../../certs/der.ts';
import {
  CLIENT_AUTH,
  dnsName,
  email,
  LEAF_USAGE,
  type Made,
  make,
  nameConstraints,
  otherName,
  revocationList,
  rsaKey,
  SERVER_AUTH,
  UNKNOWN_CRITICAL,
  uri,
  type Wanted,
} from '../../certs/odd-certificates.ts';

export interface Shown {
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;
export const NAME = 'spiffe://mesh.test/peer';

export const root = make({ name: 'root', ca: true, until: 10 * DAY_MS });
const stranger = make({ name: 'root', ca: true });
const intermediate = make({ name: 'intermediate', ca: true, issuer: root });

const leaf = (wanted: Wanted = {}): Made => make({ uris: [NAME], dnsNames: ['peer.test'], issuer: root, ...wanted });
const shown = (made: Made, ...others: readonly Made[]): Shown => ({
  cert: [made, ...others].map(({ pem }) => pem).join(''),
  key: made.key,
});
/** Below an authority of its own, which it brings along. */
const below = (authority: Wanted, wanted: Wanted = {}): Shown => {
  const issuer = make({ name: 'odd authority', ca: true, issuer: root, ...authority });
  return shown(leaf({ issuer, ...wanted }), issuer);
};

export const good = leaf();
export const revoked = leaf();
const revokedAuthority = make({ name: 'revoked authority', ca: true, issuer: root });
const expiredAndRevoked = leaf({ until: -60_000 });
export const crl = revocationList(root, [revoked, revokedAuthority, expiredAndRevoked]);
/** Of every authority. */
export const crls = [crl, revocationList(intermediate, []), revocationList(revokedAuthority, [])].join('');
/** A SPIFFE bundle map with the root for `mesh.test`. */
export const bundleMap = JSON.stringify({
  trust_domains: {
    'mesh.test': {
      spiffe_sequence: 1,
      keys: [{ kty: 'EC', crv: 'P-256', use: 'x509-svid', x: 'x', y: 'y', x5c: [root.der.toString('base64')] }],
    },
  },
});
export const staleCrl = revocationList(root, [revoked], Date.now(), -60_000);
const garbled = leaf();

const many = (length: number, name: (at: number) => string): string[] => Array.from({ length }, (_, at) => name(at));
function longChain(length: number): Shown {
  const authorities = [root];
  for (let at = 0; at < length; at++) {
    authorities.unshift(make({ name: `authority ${at}`, ca: true, issuer: authorities[0] as Made }));
  }
  return shown(leaf({ issuer: authorities[0] as Made }), ...authorities.slice(0, -1));
}
const small = rsaKey(1024);

/** Certificates by what is wrong with them; the first few are good. */
export const HOSTILE = {
  good: shown(good),
  'by an intermediate': shown(leaf({ issuer: intermediate }), intermediate),
  'with the root at its end': shown(good, root),
  'chain in the wrong order': shown(leaf({ issuer: intermediate }), root, intermediate),
  'without the intermediate': shown(leaf({ issuer: intermediate })),
  expired: shown(leaf({ until: -60_000 })),
  'expired and revoked': shown(expiredAndRevoked),
  'expired and excluded': below(
    { extensions: [nameConstraints({ excluded: [dnsName('peer.test')] })] },
    { until: -60_000 },
  ),
  'expired and for servers only': shown(leaf({ until: -60_000, purposes: [SERVER_AUTH] })),
  'expired and below a leaf': below({ ca: false }, { until: -60_000 }),
  'expired and of another root': shown(leaf({ until: -60_000, issuer: stranger })),
  'expired and with an unknown critical extension': shown(leaf({ until: -60_000, extensions: [UNKNOWN_CRITICAL] })),
  'expired and signed with SHA-1': shown(leaf({ until: -60_000, hash: 'sha1' })),
  'expired, below an expired authority': below({ until: -60_000 }, { until: -60_000 }),
  'not yet valid': shown(leaf({ from: 600_000 })),
  'expired authority': below({ until: -60_000 }),
  'for servers only': shown(leaf({ purposes: [SERVER_AUTH] })),
  'for clients only': shown(leaf({ purposes: [CLIENT_AUTH] })),
  'for code signing only': shown(leaf({ purposes: ['1.3.6.1.5.5.7.3.3'] })),
  'for both': shown(leaf({ purposes: [SERVER_AUTH, CLIENT_AUTH] })),
  'authority for servers only': below({ purposes: [SERVER_AUTH] }),
  'authority for clients only': below({ purposes: [CLIENT_AUTH] }),
  'a leaf as authority': below({ ca: false }),
  'authority without basic constraints': below({ ca: 'none' }),
  'authority that may not sign': below({ keyUsage: LEAF_USAGE }),
  'path too long': (() => {
    const outer = make({ name: 'outer', ca: true, issuer: root, pathLength: 0 });
    const inner = make({ name: 'inner', ca: true, issuer: outer });
    return shown(leaf({ issuer: inner }), inner, outer);
  })(),
  'name outside of the permitted': below({ extensions: [nameConstraints({ permitted: [dnsName('other.test')] })] }),
  'name that is excluded': below({ extensions: [nameConstraints({ excluded: [dnsName('peer.test')] })] }),
  'URI outside of the permitted': below({ extensions: [nameConstraints({ permitted: [uri('.other.test')] })] }),
  'names within the constraints': below({
    extensions: [nameConstraints({ permitted: [dnsName('peer.test'), uri('mesh.test')] })],
  }),
  'unknown critical extension': shown(leaf({ extensions: [UNKNOWN_CRITICAL] })),
  'authority with an unknown critical extension': below({ extensions: [UNKNOWN_CRITICAL] }),
  'signed with SHA-1': shown(leaf({ hash: 'sha1' })),
  'authority signed with SHA-1': below({ hash: 'sha1' }),
  'self-signed': shown(make({ uris: [NAME], name: 'self' })),
  'self-signed with the name of the root': shown(make({ uris: [NAME], name: 'root' })),
  'of another root': shown(leaf({ issuer: stranger })),
  'of another root, which it brings': shown(leaf({ issuer: stranger }), stranger),
  'the root itself': shown(root),
  revoked: shown(revoked),
  'by a revoked authority': shown(leaf({ issuer: revokedAuthority }), revokedAuthority),
  'RSA of 1024 bits': shown(leaf({ key: small })),
  'by an authority of 1024 bits': below({ key: small }),
  'RSA of 2048 bits': shown(leaf({ key: rsaKey(2048) })),
  'without names': shown(make({ name: 'peer', issuer: root })),
  'with a leaf that says it is an authority': shown(leaf({ ca: true })),
  'without key usage': shown(leaf({ keyUsage: 'none' })),
  'key usage without signatures': shown(leaf({ keyUsage: bits(Buffer.from([0x08]), 3) })),
  'without an SPIFFE id': shown(leaf({ uris: [] })),
  'of another trust domain': shown(leaf({ uris: ['spiffe://else.test/peer'] })),
  'two SPIFFE ids': shown(leaf({ uris: [NAME, 'spiffe://else.test/peer'] })),
  'signed by another key': {
    cert: shown({ ...garbled, pem: garble(garbled) }).cert,
    key: garbled.key,
  },
  '10,000 names': shown(leaf({ uris: [NAME], dnsNames: many(10_000, (at) => `n${at}`) })),
  '4,000 names': shown(leaf({ uris: [NAME], dnsNames: many(4_000, (at) => `n${at}`) })),
  '10,000 long names': shown(leaf({ uris: [NAME], dnsNames: many(10_000, (at) => `name-${at}.peer.test`) })),
  'chain of 12': longChain(12),
  'chain of 110': longChain(110),
  'strangers in the chain': shown(
    leaf(),
    ...many(20, () => '').map(() => make({ name: randomBytes(4).toString('hex') })),
  ),
  'an e-mail address and another name': shown(
    leaf({ otherNames: [email('a@peer.test'), otherName('1.3.6.1.4.1.311.20.2.3', 'upn@peer.test'), uri(NAME)] }),
  ),
} satisfies { readonly [what: string]: Shown };

export type Hostile = keyof typeof HOSTILE;

/** The certificate with a bit of its signature turned. */
function garble({ der }: Made): string {
  const bytes = Buffer.from(der);
  bytes[bytes.length - 3] = (bytes[bytes.length - 3] as number) ^ 1;
  return `-----BEGIN CERTIFICATE-----\n${(bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`;
}
