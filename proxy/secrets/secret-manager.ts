/**
 * TLS material on the main thread: from what listeners and clusters refer to (inline, files, environment, SDS) to PEM
 * for the workers. Only material that can serve goes out; what is bad is reported, and the last good one stays.
 */
import type { CertificateMaterial, TrustMaterial } from '../../certs/material.ts';
import { certificateError, trustError } from '../../certs/validate.ts';
import type { DataSource } from '../../xds-client/model/common.ts';
import type { Secret, TlsCertificate, ValidationContext } from '../../xds-client/model/tls.ts';
import type { SecretUser } from '../../xds-client/resource-types.ts';
import type { SecretPayload } from '../tls/secret-table.ts';
import { mergeValidation } from './merge.ts';
import { contextsOf, type Reference } from './references.ts';
import { ResolvedSources, type Texts } from './sources.ts';

export interface SecretManagerOptions {
  /** Complete and good: first, and at every change. Goes to the workers as a `secret` message, and to `secretReady`. */
  readonly onMaterial: (key: string, payload: SecretPayload) => void;
  /** Material that cannot be used, without its content. `name` is the SDS name, or what kind of inline secret it is. */
  readonly onError: (name: string, reason: string) => void;
  /** What data sources may name; the process's by default. */
  readonly environment?: { readonly [name: string]: string | undefined };
}

interface PublicMaterial {
  /** The file, or `<inline>`. */
  readonly path: string;
  readonly pem: string;
}

/** A certificate and the authority it is used with, as `/certs` shows them; public parts only. */
export interface CertificateView {
  readonly ca: PublicMaterial | undefined;
  readonly chain: PublicMaterial | undefined;
}

interface Entry {
  readonly reference: Reference;
  readonly label: string;
  sources: { close(): void } | undefined;
  shown: PublicMaterial | undefined;
}

interface Context {
  readonly certificateKeys: readonly string[];
  readonly trustKey: string | undefined;
}

export class SecretManager {
  readonly #options: SecretManagerOptions;
  readonly #environment: { readonly [name: string]: string | undefined };
  readonly #entries = new Map<string, Entry>();
  readonly #contexts = new Map<string, Context>();
  readonly #sds = new Map<string, Secret>();
  /** Asked at every settling of the configuration: a resource's references do not change. */
  #keysOf = new WeakMap<object, readonly string[]>();
  #generation = 0;

  constructor(options: SecretManagerOptions) {
    this.#options = options;
    this.#environment = options.environment ?? process.env;
  }

  /** Keys of the material that the resource needs before it serves. Loading begins with the first call. */
  secretsOf(user: SecretUser): readonly string[] {
    const known = this.#keysOf.get(user.value);
    if (known !== undefined) return known;
    const found = new Set<string>();
    for (const { certificates, trust } of contextsOf(user)) {
      for (const reference of trust === undefined ? certificates : [...certificates, trust]) {
        found.add(reference.key);
        this.#begin(reference);
      }
      const context = { certificateKeys: certificates.map(({ key }) => key), trustKey: trust?.key };
      this.#contexts.set(`${context.certificateKeys.join()}|${context.trustKey}`, context);
    }
    const keys = [...found];
    this.#keysOf.set(user.value, keys);
    return keys;
  }

  /** What SDS or the bootstrap's static secrets gave. */
  setSecret(secret: Secret): void {
    this.#sds.set(secret.name, secret);
    for (const entry of this.#entries.values()) {
      const { ref } = entry.reference;
      if (ref.kind === 'sds' && ref.name === secret.name) this.#load(entry);
    }
  }

  /** Certificates and authorities in use for `/certs`: a row a TLS context and certificate, equal contexts once. */
  certificates(): readonly CertificateView[] {
    const shown = (key: string | undefined) => (key === undefined ? undefined : this.#entries.get(key)?.shown);
    return [...this.#contexts.values()].flatMap(({ certificateKeys, trustKey }) => {
      const ca = shown(trustKey);
      const chains = certificateKeys.length === 0 ? [undefined] : certificateKeys.map(shown);
      return chains.flatMap((chain) => (ca === undefined && chain === undefined ? [] : [{ ca, chain }]));
    });
  }

  /**
   * Stops watching for every resource but these, and returns the keys that nobody needs any longer. The caller tells the
   * workers (`secret-removed`). Call it when resources have gone.
   */
  retain(users: Iterable<SecretUser>): string[] {
    const needed = new Set<string>();
    for (const user of users) for (const key of this.secretsOf(user)) needed.add(key);
    const gone: string[] = [];
    for (const [key, entry] of this.#entries) {
      if (needed.has(key)) continue;
      entry.sources?.close();
      this.#entries.delete(key);
      gone.push(key);
    }
    // a resource that comes back must begin again
    if (gone.length > 0) this.#keysOf = new WeakMap();
    for (const [name, { certificateKeys, trustKey }] of this.#contexts) {
      const keys = trustKey === undefined ? certificateKeys : [...certificateKeys, trustKey];
      if (keys.some((key) => !needed.has(key))) this.#contexts.delete(name);
    }
    return gone;
  }

  close(): void {
    this.retain([]);
  }

  #begin(reference: Reference): void {
    if (this.#entries.has(reference.key)) return;
    const label = reference.ref.kind === 'sds' ? reference.ref.name : `inline ${reference.kind}`;
    const entry: Entry = { reference, label, sources: undefined, shown: undefined };
    this.#entries.set(reference.key, entry);
    this.#load(entry);
  }

  /** Resolves the entry's sources anew. The material that serves stays until the new one is complete and good. */
  #load(entry: Entry): void {
    const { reference } = entry;
    if (reference.kind === 'certificate') {
      const { ref } = reference;
      const certificate = ref.kind === 'inline' ? ref.secret : this.#sdsCertificate(entry, ref.name);
      if (certificate !== undefined) this.#loadCertificate(entry, certificate);
      return;
    }
    const { ref } = reference;
    if (ref.kind === 'inline') {
      this.#loadTrust(entry, ref.context);
      return;
    }
    const sds = this.#sdsValidation(entry, ref.name);
    if (sds !== undefined) this.#loadTrust(entry, mergeValidation(ref.defaults, sds));
  }

  #sdsCertificate(entry: Entry, name: string): TlsCertificate | undefined {
    const secret = this.#sds.get(name);
    if (secret === undefined || secret.kind === 'certificate') return secret?.certificate;
    this.#report(entry, 'is a validation context, and a certificate is needed');
    return undefined;
  }

  #sdsValidation(entry: Entry, name: string): ValidationContext | undefined {
    const secret = this.#sds.get(name);
    if (secret === undefined || secret.kind === 'validation') return secret?.validation;
    this.#report(entry, 'is a certificate, and a validation context is needed');
    return undefined;
  }

  #loadCertificate(entry: Entry, certificate: TlsCertificate): void {
    entry.sources?.close();
    type Part = 'chain' | 'key' | 'password' | 'ocsp';
    const material = (texts: Texts<Part>): CertificateMaterial => ({
      chain: texts.chain ?? '',
      key: texts.key ?? '',
      // editors end files with a line break, passwords have none
      password: texts.password?.trimEnd(),
      ocspStaple: texts.ocsp,
    });
    entry.sources = new ResolvedSources<Part>({
      sources: {
        chain: certificate.certificateChain,
        key: certificate.privateKey,
        password: certificate.password,
        ocsp: certificate.ocspStaple,
      },
      watchedDirectories: [certificate.watchedDirectory],
      binary: ['ocsp'],
      environment: this.#environment,
      check: (texts) => certificateError(material(texts)),
      onTexts: (texts) => {
        entry.shown = { path: pathOf(certificate.certificateChain), pem: texts.chain ?? '' };
        this.#emit(entry, { kind: 'certificate', generation: this.#next(), certificate: material(texts) });
      },
      onError: (reason) => this.#report(entry, reason),
    });
  }

  #loadTrust(entry: Entry, context: ValidationContext): void {
    entry.sources?.close();
    const { trustedCa, crl, watchedDirectory, ...rules } = context;
    const material = (texts: Texts<'ca' | 'crl'>): TrustMaterial => ({ trustedCa: texts.ca, crl: texts.crl });
    entry.sources = new ResolvedSources<'ca' | 'crl'>({
      sources: { ca: trustedCa, crl },
      watchedDirectories: [watchedDirectory],
      binary: [],
      environment: this.#environment,
      check: (texts) => trustError(material(texts)),
      onTexts: (texts) => {
        entry.shown = trustedCa === undefined ? undefined : { path: pathOf(trustedCa), pem: texts.ca ?? '' };
        this.#emit(entry, { kind: 'trust', generation: this.#next(), trust: material(texts), rules });
      },
      onError: (reason) => this.#report(entry, reason),
    });
  }

  /** In a later turn: whoever asked `secretsOf` is in the middle of settling a configuration. */
  #emit(entry: Entry, payload: SecretPayload): void {
    const { key } = entry.reference;
    queueMicrotask(() => {
      if (this.#entries.get(key) === entry) this.#options.onMaterial(key, payload);
    });
  }

  #report(entry: Entry, reason: string): void {
    queueMicrotask(() => this.#options.onError(entry.label, reason));
  }

  #next(): number {
    this.#generation++;
    return this.#generation;
  }
}

/** As `/certs` names it. */
function pathOf(source: DataSource): string {
  return source.kind === 'file' ? source.path : '<inline>';
}
