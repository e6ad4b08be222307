/** What bounds the life of a connection that a handshake has opened: both sides' certificates, and whom trust lets in. */
import type { X509Certificate } from 'node:crypto';
import type { Assembled, Handshake } from './assembly.ts';
import type { LifeTerms } from './lives.ts';
import { changedVerdict, coversTrust } from './trust-change.ts';

export interface TermsOptions {
  readonly handshake: Handshake;
  /** Of the certificate that we showed; `undefined`: none. */
  readonly ownEndsAt: number | undefined;
  /** What new handshakes take. */
  readonly current: () => Assembled | undefined;
  /** As `LifeTerms.first`. */
  readonly first: boolean;
  readonly expectedSan: string | undefined;
  readonly certificateRequired: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class HandshakeTerms implements LifeTerms {
  readonly expiresAt: number;
  readonly first: boolean;
  readonly #options: TermsOptions;
  /** What the peer was last let in by. */
  #judged: Assembled;

  constructor(options: TermsOptions) {
    this.#options = options;
    this.first = options.first;
    const { handshake, ownEndsAt, now } = options;
    const { assembled, certificate } = handshake;
    this.#judged = assembled;
    const began = now();
    const own = ownEndsAt ?? Number.POSITIVE_INFINITY;
    // a certificate that nobody judges by its dates ends nothing
    const counts = assembled.validator.validates && assembled.trust?.rules.allowExpired !== true;
    const peer = counts && certificate !== undefined ? peerEnd(certificate, began) : Number.POSITIVE_INFINITY;
    // Ours was over already, and the other side let it in: a connection that ended at once would be made again and again.
    this.expiresAt = own <= began ? peer : Math.min(own, peer);
  }

  trusted(): boolean {
    const current = this.#options.current();
    if (current === undefined || current.trustGeneration === this.#judged.trustGeneration) return true;
    if (!coversTrust(current.trust, this.#judged.trust) && !this.#letIn(current)) return false;
    this.#judged = current;
    return true;
  }

  #letIn({ trust, validator }: Assembled): boolean {
    const { handshake, first, expectedSan, certificateRequired, now } = this.#options;
    const { certificate } = handshake;
    const refusal = validator.check({
      certificate,
      verdict: () =>
        certificate === undefined || trust === undefined
          ? undefined
          : changedVerdict(certificate, trust, first ? 'server' : 'client', now()),
      // verified when the connection began, as a resumed session's was before
      resumed: true,
      expectedSan,
      certificateRequired,
    });
    return refusal === undefined;
  }
}

/** The first to end of what the peer sent. What was over already did not vouch for it (cross-signed intermediates). */
function peerEnd(leaf: X509Certificate, now: number): number {
  let end = Number.POSITIVE_INFINITY;
  for (let certificate: X509Certificate | undefined = leaf; certificate; certificate = certificate.issuerCertificate) {
    const at = certificate.validToDate.getTime();
    if (at > now || certificate === leaf) end = Math.min(end, at);
  }
  return end;
}
