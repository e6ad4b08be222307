/** The rules of the choice that the conformance suites cannot reach by the clock: staples that expire, and names without SANs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStaple } from '../../certs/ocsp.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { buildSecureContext, parseCertificates } from '../../certs/tls-context.ts';
import { certificateError } from '../../certs/validate.ts';
import { CertificateChoice, type ChoiceRules } from '../../proxy/tls/certificate-choice.ts';
import { servedCertificate } from '../../proxy/tls/served-certificate.ts';
import { helloOf } from './support.ts';

const NOW = Date.parse('2026-03-01T00:00:00Z');
const HOUR_MS = 3_600_000;
const ca = new DevCa({ now: () => NOW, trustDomain: 'td' });
const leaf = ca.issue({ dnsNames: ['a.test'], ttlMs: HOUR_MS });
const material = (staple: Buffer | undefined) => ({
  chain: leaf.chain,
  key: leaf.key,
  password: undefined,
  ocspStaple: staple?.toString('base64'),
});
const context = buildSecureContext({
  certificates: [material(undefined)],
  trust: undefined,
  minVersion: undefined,
  maxVersion: undefined,
  cipherSuites: [],
  ecdhCurves: [],
  signatureAlgorithms: [],
  sessionTickets: true,
  sessionTimeoutMs: undefined,
  allowRenegotiation: false,
});
const wantsStaple = helloOf({ extension: (type) => (type === 5 ? Buffer.from([1, 0, 0, 0, 0]) : undefined) });

function choiceAt(now: () => number, policy: ChoiceRules['policy'], validMs: number | undefined): CertificateChoice {
  const served = servedCertificate(material(ca.staple(leaf.serial, validMs)), context, false, now);
  return new CertificateChoice([served], { policy, anyForUnknownNames: false, upToTls13: true, now });
}

test('a staple is sent until it expires, and then the policy says what becomes of the handshake', () => {
  for (const [policy, afterwards] of [
    ['lenient', 'omitted'],
    ['strict', 'refused'],
    ['must', 'refused'],
  ] as const) {
    let now = NOW;
    const choice = choiceAt(() => now, policy, HOUR_MS);
    assert.equal(choice.choose(wantsStaple).staple, 'stapled');
    now += HOUR_MS;
    assert.equal(choice.choose(wantsStaple).staple, afterwards);
    assert.equal(choice.choose(helloOf({})).staple, undefined, 'who asks for none is not refused');
  }
});

test('a staple of another certificate, of several, or of no kind is refused by its reason', () => {
  const other = ca.issue({ dnsNames: ['b.test'] });
  const [certificate] = parseCertificates(leaf.chain);
  assert.ok(certificate);
  assert.throws(() => readStaple(ca.staple(other.serial, HOUR_MS), certificate), /for another certificate/);
  assert.throws(() => readStaple(Buffer.from('not DER'), certificate), /does not parse/);
  // OCSPResponse with status tryLater (3) and nothing else
  assert.throws(() => readStaple(Buffer.from([0x30, 3, 10, 1, 3]), certificate), /is not successful/);
  assert.equal(readStaple(ca.staple(leaf.serial, HOUR_MS), certificate).nextUpdate, NOW + HOUR_MS);
  assert.equal(
    certificateError(material(ca.staple(other.serial, HOUR_MS))),
    'the OCSP response is for another certificate',
  );
  assert.equal(certificateError(material(ca.staple(leaf.serial, HOUR_MS))), undefined);
});

test('a certificate that must be stapled is not taken without a staple', () => {
  const must = ca.issue({ dnsNames: ['a.test'], mustStaple: true });
  const bare = { chain: must.chain, key: must.key, password: undefined, ocspStaple: undefined };
  assert.match(certificateError(bare) ?? '', /must be stapled/);
  const staple = ca.staple(must.serial, HOUR_MS).toString('base64');
  assert.equal(certificateError({ ...bare, ocspStaple: staple }), undefined);
});
