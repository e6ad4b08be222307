/**
 * From a TLS configuration and the secrets it names to what a handshake needs. Looked up again only when the secret
 * table has changed; secure contexts are shared by every configuration with the same settings and secrets (a mesh's
 * thousand clusters have one certificate).
 */
import type { X509Certificate } from 'node:crypto';
import type { SecureContext, SecureVersion } from 'node:tls';
import type { CertificateMaterial } from '../../certs/material.ts';
import { buildSecureContext, type ContextSettings } from '../../certs/tls-context.ts';
import type { DownstreamTls, UpstreamTls } from '../../xds-client/model/tls.ts';
import { errorMessage } from '../errors.ts';
import type { ServedCertificate } from './certificate-choice.ts';
import { needsWholeChain, opensslTrust } from './chain-check.ts';
import type { TlsRefusal } from './contract.ts';
import type { ConnectionLives } from './lives.ts';
import { type LocalIdentity, NO_IDENTITY } from './peer.ts';
import { secretKey, validationKey } from './secret-key.ts';
import type { CertificateSecret, SecretTable, TrustSecret } from './secret-table.ts';
import { servedCertificate } from './served-certificate.ts';
import { compileValidator, type ExpectedPeer, type Validator } from './validator.ts';

export interface TlsEnvironment {
  readonly secrets: SecretTable;
  readonly contexts: ContextCache;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Settings that OpenSSL refuses: told once a change of secrets, the last good context stays. */
  readonly onError: (message: string) => void;
  /** Bounds the lives of connections; `undefined`: nobody does. */
  readonly lives: ConnectionLives | undefined;
}

export interface Assembled {
  readonly generation: number;
  /** The validation context's alone. */
  readonly trustGeneration: number;
  /** Of the first certificate, or of none. */
  readonly secureContext: SecureContext;
  /** What `validator` was made of. */
  readonly trust: TrustSecret | undefined;
  readonly validator: Validator;
  /** The first certificate's. */
  readonly local: LocalIdentity;
  readonly certificates: readonly ServedCertificate[];
}

/** One connection's: what it was begun with, because a rotation in between must not judge it, and what the peer showed. */
export interface Handshake {
  readonly assembled: Assembled;
  certificate: X509Certificate | undefined;
  /** Why the peer is let in without being known (ACCEPT_UNTRUSTED). */
  tolerated?: TlsRefusal | undefined;
}

/** Settings that do not come from secrets. `maxVersion`: where the configuration says nothing. */
export type RoleSettings = Pick<
  ContextSettings,
  'sessionTickets' | 'sessionTimeoutMs' | 'allowRenegotiation' | 'maxVersion'
> & {
  /** A server that keeps sessions by their id. */
  readonly sessionIds: boolean;
  readonly peer: ExpectedPeer;
};

export class Assembly {
  readonly #common: (DownstreamTls | UpstreamTls)['common'];
  readonly #role: RoleSettings;
  readonly #environment: TlsEnvironment;
  readonly #certificateKeys: readonly string[];
  readonly #validationKey: string | undefined;
  readonly #settingsKey: string;
  #seenVersion = 0;
  #secretsKey = '';
  #current: Assembled | undefined;

  constructor(common: (DownstreamTls | UpstreamTls)['common'], role: RoleSettings, environment: TlsEnvironment) {
    this.#common = common;
    this.#role = role;
    this.#environment = environment;
    this.#certificateKeys = common.certificates.map(secretKey);
    this.#validationKey = common.validation === undefined ? undefined : validationKey(common.validation);
    this.#settingsKey = JSON.stringify([
      role,
      common.minVersion,
      common.maxVersion,
      common.cipherSuites,
      common.ecdhCurves,
      common.signatureAlgorithms,
    ]);
    // at once, so that there is a last good context when the next secrets turn out bad
    this.current();
  }

  get maxVersion(): SecureVersion | undefined {
    const { minVersion, maxVersion } = this.#common;
    // a configuration that asks for no less than TLS 1.3 means it
    return maxVersion ?? (minVersion === 'TLSv1.3' ? 'TLSv1.3' : this.#role.maxVersion);
  }

  /** `undefined` until all secrets are there. Once they were, what was built of them stays until there are others. */
  current(): Assembled | undefined {
    const { secrets } = this.#environment;
    if (this.#seenVersion !== secrets.version) {
      this.#seenVersion = secrets.version;
      this.#refresh();
    }
    return this.#current;
  }

  #refresh(): void {
    const { secrets } = this.#environment;
    const certificates: CertificateSecret[] = [];
    for (const key of this.#certificateKeys) {
      const found = secrets.certificate(key);
      if (found === undefined) {
        this.#missing();
        return;
      }
      certificates.push(found);
    }
    const trust = this.#validationKey === undefined ? undefined : secrets.trust(this.#validationKey);
    if (this.#validationKey !== undefined && trust === undefined) {
      this.#missing();
      return;
    }
    const generations = certificates.map((secret, i) => `${this.#certificateKeys[i]}=${secret.generation}`);
    const secretsKey = `${generations.join()}|${this.#validationKey}=${trust?.generation}`;
    if (secretsKey === this.#secretsKey && this.#current !== undefined) return;
    this.#secretsKey = secretsKey;
    this.#build(certificates, trust, `${secretsKey}|${this.#settingsKey}`);
  }

  /**
   * Not there yet, or let go because the configuration that this serves is gone: what is still under way on it (a pool
   * that drains) ends with what it has.
   */
  #missing(): void {
    this.#secretsKey = '';
  }

  #build(certificates: readonly CertificateSecret[], trust: TrustSecret | undefined, key: string): void {
    try {
      const { contexts } = this.#environment;
      const validator = compileValidator(trust, this.#role.peer, this.#environment.now);
      const shared = contexts.get(key, () => this.#shared(certificates, trust));
      const trustGeneration = trust?.generation ?? 0;
      this.#current = { generation: contexts.nextGeneration(), trustGeneration, trust, validator, ...shared };
    } catch (error) {
      // the last good one stays: the check on the main thread has refused what it could, this is what it could not see
      this.#environment.onError(`TLS context: ${errorMessage(error)}`);
    }
  }

  #shared(certificates: readonly CertificateSecret[], trust: TrustSecret | undefined): SharedContext {
    const served = certificates.map(({ certificate }) =>
      servedCertificate(
        certificate,
        this.#secureContext([certificate], trust),
        this.#role.sessionIds && !this.#asksForChain(trust),
        this.#environment.now,
      ),
    );
    const [first] = served;
    return {
      secureContext: first?.secureContext ?? this.#secureContext([], trust),
      local: first?.local ?? NO_IDENTITY,
      certificates: served,
    };
  }

  /** A resumed client's chain is forgotten; a resumed server's is kept with the session. */
  #asksForChain(trust: TrustSecret | undefined): boolean {
    return this.#role.peer.role === 'client' && trust !== undefined && needsWholeChain(trust.rules);
  }

  #secureContext(certificates: readonly CertificateMaterial[], trust: TrustSecret | undefined): SecureContext {
    const common = this.#common;
    return buildSecureContext({
      ...this.#role,
      sessionTickets: this.#role.sessionTickets && !this.#asksForChain(trust),
      certificates,
      trust: trust === undefined ? undefined : opensslTrust(trust),
      minVersion: common.minVersion,
      maxVersion: this.maxVersion,
      cipherSuites: common.cipherSuites,
      ecdhCurves: common.ecdhCurves,
      signatureAlgorithms: common.signatureAlgorithms,
    });
  }
}

interface SharedContext {
  readonly secureContext: SecureContext;
  readonly local: LocalIdentity;
  readonly certificates: readonly ServedCertificate[];
}

/** Secure contexts by settings and secret generations. Weak: the last connection configuration to go takes its own along. */
export class ContextCache {
  readonly #entries = new Map<string, WeakRef<SharedContext>>();
  // holds the context's sharing object as long as the context itself is in use
  readonly #owners = new WeakMap<SecureContext, SharedContext>();
  #generation = 0;

  get(key: string, build: () => SharedContext): SharedContext {
    const known = this.#entries.get(key)?.deref();
    if (known !== undefined) return known;
    for (const [old, entry] of this.#entries) if (entry.deref() === undefined) this.#entries.delete(old);
    const made = build();
    this.#owners.set(made.secureContext, made);
    this.#entries.set(key, new WeakRef(made));
    return made;
  }

  nextGeneration(): number {
    this.#generation++;
    return this.#generation;
  }

  /** Contexts that are alive, for tests. */
  get size(): number {
    return [...this.#entries.values()].filter((entry) => entry.deref() !== undefined).length;
  }
}
