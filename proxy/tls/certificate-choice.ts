/**
 * Which of a server's certificates a caller is shown: by its server name, by what it can verify, and by the OCSP staple that
 * it asks for. Envoy's rules.
 */
import type { SecureContext, Server } from 'node:tls';
import { isValid, type Staple } from '../../certs/staple.ts';
import type { OcspStaplePolicy } from '../../xds-client/model/tls.ts';
import { verifiesEcdsa, wantsStaple } from './client-capabilities.ts';
import type { ClientHello } from './contract.ts';
import type { LocalIdentity } from './peer.ts';

/** A certificate with the secure context that shows it. */
export interface ServedCertificate {
  readonly secureContext: SecureContext;
  readonly local: LocalIdentity;
  /** The first of its chain to end: milliseconds since the epoch. */
  readonly endsAt: number;
  /** Lower case; DNS names, or the common name where there is no list of names. */
  readonly serverNames: readonly string[];
  /** Of an ECDSA key, as Node names it; `undefined`: RSA. */
  readonly curve: string | undefined;
  readonly staple: Staple | undefined;
  readonly mustStaple: boolean;
  /** Node's way to staples and sessions by their id, made when first asked for; `undefined` where there are none. */
  readonly hooks: () => Server | undefined;
}

export interface ChoiceRules {
  readonly policy: OcspStaplePolicy;
  readonly anyForUnknownNames: boolean;
  /** TLS 1.3 is spoken. */
  readonly upToTls13: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** `undefined`: the caller asked for none. `refused`: it gets none, and so no handshake. */
export type StapleOutcome = 'stapled' | 'omitted' | 'refused' | undefined;

export interface Chosen {
  readonly certificate: ServedCertificate;
  readonly staple: StapleOutcome;
}

/** By key type; the first that came for a name and type. */
interface ByType {
  ecdsa: ServedCertificate | undefined;
  rsa: ServedCertificate | undefined;
}

export class CertificateChoice {
  readonly #certificates: readonly [ServedCertificate, ...ServedCertificate[]];
  readonly #rules: ChoiceRules;
  /** Wildcards stand under their name without the star: `.pay.test`. */
  readonly #byName = new Map<string, ByType>();

  constructor(certificates: readonly [ServedCertificate, ...ServedCertificate[]], rules: ChoiceRules) {
    this.#certificates = certificates;
    this.#rules = rules;
    for (const certificate of certificates) {
      for (const name of certificate.serverNames) this.#add(name.startsWith('*.') ? name.slice(1) : name, certificate);
    }
  }

  /** `hello`: `undefined` when nobody looked at it, because there is nothing to choose. */
  choose(hello: ClientHello | undefined): Chosen {
    const [first] = this.#certificates;
    if (hello === undefined) return { certificate: first, staple: undefined };
    const wants = wantsStaple(hello);
    if (this.#certificates.length === 1) return { certificate: first, staple: this.#staple(first, wants) };
    const found = this.#byServerName(hello, wants);
    if (found !== undefined) return found;
    if (hello.serverName === '' || this.#rules.anyForUnknownNames) {
      const any = this.#of(this.#certificates, hello, wants);
      if (any !== undefined) return any;
    }
    return { certificate: first, staple: this.#staple(first, wants) };
  }

  #byServerName(hello: ClientHello, wants: boolean): Chosen | undefined {
    const name = hello.serverName;
    if (name === '') return undefined;
    const exact = this.#ofName(name, hello, wants);
    if (exact !== undefined) return exact;
    const dot = name.indexOf('.', 1);
    return dot < 0 || dot === name.length - 1 ? undefined : this.#ofName(name.slice(dot), hello, wants);
  }

  #ofName(name: string, hello: ClientHello, wants: boolean): Chosen | undefined {
    const found = this.#byName.get(name);
    if (found === undefined) return undefined;
    const certificates = [found.ecdsa, found.rsa].filter((certificate) => certificate !== undefined);
    return this.#of(certificates, hello, wants);
  }

  /** The first ECDSA certificate that the caller can verify, otherwise the first one with an RSA key. */
  #of(certificates: readonly ServedCertificate[], hello: ClientHello, wants: boolean): Chosen | undefined {
    let rsa: Chosen | undefined;
    for (const certificate of certificates) {
      const { curve } = certificate;
      if (curve === undefined ? rsa !== undefined : !verifiesEcdsa(hello, curve, this.#rules.upToTls13)) continue;
      const staple = this.#staple(certificate, wants);
      if (staple === 'refused') continue;
      if (curve !== undefined) return { certificate, staple };
      rsa = { certificate, staple };
    }
    return rsa;
  }

  #staple({ staple, mustStaple }: ServedCertificate, wants: boolean): StapleOutcome {
    if (!wants) return undefined;
    const { policy, now } = this.#rules;
    if (staple !== undefined && isValid(staple, now())) return 'stapled';
    if (mustStaple || policy === 'must') return 'refused';
    return policy === 'strict' && staple !== undefined ? 'refused' : 'omitted';
  }

  #add(name: string, certificate: ServedCertificate): void {
    const known = this.#byName.get(name) ?? { ecdsa: undefined, rsa: undefined };
    if (certificate.curve === undefined) known.rsa ??= certificate;
    else known.ecdsa ??= certificate;
    this.#byName.set(name, known);
  }
}
