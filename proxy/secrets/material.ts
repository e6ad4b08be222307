/** One piece of TLS material that something refers to: where it comes from now, what of it serves, what is wrong with it. */
import { createHash } from 'node:crypto';
import type { CertificateMaterial } from '../../certs/material.ts';
import { certificateError, trustError } from '../../certs/validate.ts';
import type { DataSource } from '../../xds-client/model/common.ts';
import type { Secret, TlsCertificate, ValidationContext } from '../../xds-client/model/tls.ts';
import { errorMessage } from '../errors.ts';
import type { SecretPayload } from '../tls/secret-table.ts';
import { mergeValidation } from './merge.ts';
import type { Reference } from './references.ts';
import { ResolvedSources, type SourcesOptions, type Texts } from './sources.ts';
import { type StapleTimes, stapleOf } from './staple-times.ts';
import { type TrustPart, trustMaterial, trustSources } from './trust.ts';

/** A file's or an inline source's content, public parts only. */
export interface PublicMaterial {
  /** The file, or `<inline>`. */
  readonly path: string;
  readonly pem: string;
  /** Of the certificate's OCSP staple. */
  readonly staple?: StapleTimes;
}

export interface Problem {
  /** The SDS name; `undefined` for material that is named in place. */
  readonly name: string | undefined;
  /** Without content: `the private key does not belong to the certificate`. */
  readonly reason: string;
  /** The last good material goes on serving. False: there has been none yet. */
  readonly serving: boolean;
  /** `rotation`: files that served have changed. `refused`: a secret as it came. */
  readonly kind: 'rotation' | 'refused';
}

export interface MaterialOptions {
  readonly reference: Reference;
  readonly environment: { readonly [name: string]: string | undefined };
  /** Over all material: a key that comes back after it was let go must not meet an old number. */
  readonly nextGeneration: () => number;
  /** Complete, good, and other than before. */
  readonly onPayload: (payload: SecretPayload) => void;
  readonly onProblem: (problem: Problem) => void;
}

type Part = 'chain' | 'key' | 'password' | 'ocsp' | TrustPart;

/** What a secret means once its texts are there. */
interface Reading {
  readonly sources: SourcesOptions<Part>['sources'];
  readonly watchedDirectory: string | undefined;
  readonly shown: DataSource | undefined;
  readonly check: (texts: Texts<Part>) => string | undefined;
  readonly payload: (texts: Texts<Part>) => Unnumbered;
}

type Unnumbered = SecretPayload extends infer P ? (P extends SecretPayload ? Omit<P, 'generation'> : never) : never;

export class Material {
  readonly reference: Reference;
  /** What serves, for `/certs`; `undefined` before the first. */
  shown: PublicMaterial | undefined;
  /** The first material is there. */
  complete = false;
  readonly #options: MaterialOptions;
  #serving: { close(): void } | undefined;
  #coming: { close(): void } | undefined;
  #digest = '';
  #closed = false;

  constructor(options: MaterialOptions) {
    this.#options = options;
    this.reference = options.reference;
  }

  /** The SDS name. */
  get name(): string | undefined {
    const { ref } = this.reference;
    return ref.kind === 'sds' ? ref.name : undefined;
  }

  /** `secret`: what SDS or the bootstrap has under the reference's name; of no use to material that is named in place. */
  load(secret: Secret | undefined): void {
    const { reference } = this;
    if (reference.kind === 'certificate') {
      const { ref } = reference;
      if (ref.kind === 'inline') this.#read(certificateReading(ref.secret));
      else if (secret?.kind === 'certificate') this.#read(certificateReading(secret.certificate));
      else if (secret !== undefined) this.#refuse('it is a validation context, and a certificate is needed');
      return;
    }
    const { ref } = reference;
    if (ref.kind === 'inline') this.#read(trustReading(ref.context));
    else if (secret?.kind === 'validation') this.#read(trustReading(mergeValidation(ref.defaults, secret.validation)));
    else if (secret !== undefined) this.#refuse('it is a certificate, and a validation context is needed');
  }

  /** Stops watching. Nothing is told afterwards. */
  close(): void {
    this.#closed = true;
    this.#serving?.close();
    this.#coming?.close();
  }

  /** What serves is watched until what comes is good: a bad push must not stop a rotation of files. */
  #read(reading: Reading): void {
    this.#coming?.close();
    this.#coming = undefined;
    let settled = false;
    const accept = (texts: Texts<Part>): void => {
      const first = !settled;
      settled = true;
      if (first) this.#take(sources);
      this.#accept(reading, texts);
    };
    let sources: ResolvedSources<Part> | undefined;
    sources = new ResolvedSources<Part>({
      sources: reading.sources,
      watchedDirectories: [reading.watchedDirectory],
      secrets: ['key'],
      binary: ['ocsp'],
      environment: this.#options.environment,
      check: reading.check,
      onTexts: accept,
      onError: (reason) => this.#problem(reason, settled ? 'rotation' : 'refused'),
    });
    if (settled) this.#serving = sources;
    else this.#coming = sources;
  }

  /** `sources`: `undefined` while they are still being made, which is when inline material comes. */
  #take(sources: { close(): void } | undefined): void {
    this.#serving?.close();
    this.#serving = sources;
    this.#coming = undefined;
  }

  #accept(reading: Reading, texts: Texts<Part>): void {
    const payload = reading.payload(texts);
    const { shown } = reading;
    if (shown !== undefined)
      this.shown = {
        path: pathOf(shown),
        pem: payload.kind === 'certificate' ? payload.certificate.chain : (payload.trust.trustedCa ?? ''),
        ...(payload.kind === 'certificate' ? stapleOf(payload.certificate) : {}),
      };
    else this.shown = undefined;
    this.complete = true;
    const digest = createHash('sha256').update(JSON.stringify(payload)).digest('base64');
    // the same again: nobody has to open anything anew
    if (digest === this.#digest) return;
    this.#digest = digest;
    this.#options.onPayload({ ...payload, generation: this.#options.nextGeneration() });
  }

  #refuse(reason: string): void {
    this.#problem(reason, 'refused');
  }

  #problem(reason: string, kind: Problem['kind']): void {
    if (!this.#closed) this.#options.onProblem({ name: this.name, reason, serving: this.complete, kind });
  }
}

function certificateReading(certificate: TlsCertificate): Reading {
  const { certificateChain, privateKey, password, ocspStaple, watchedDirectory } = certificate;
  const material = (texts: Texts<Part>): CertificateMaterial => ({
    chain: texts.chain ?? '',
    key: texts.key ?? '',
    // editors end files with a line break, passwords have none
    password: texts.password?.trimEnd(),
    ocspStaple: texts.ocsp,
  });
  return {
    sources: { chain: certificateChain, key: privateKey, password, ocsp: ocspStaple },
    watchedDirectory,
    shown: certificateChain,
    check: (texts) => certificateError(material(texts)),
    payload: (texts) => ({ kind: 'certificate', certificate: material(texts) }),
  };
}

function trustReading(context: ValidationContext): Reading {
  const { trustedCa, crl: _crl, watchedDirectory, ...rules } = context;
  return {
    sources: trustSources(context),
    watchedDirectory,
    shown: context.spiffe === undefined ? trustedCa : (context.spiffe.bundles ?? context.spiffe.domains[0]?.bundle),
    check: (texts) => trustErrorOf(context, texts),
    payload: (texts) => ({ kind: 'trust', trust: trustMaterial(context, texts), rules }),
  };
}

function trustErrorOf(context: ValidationContext, texts: Texts<Part>): string | undefined {
  try {
    return trustError(trustMaterial(context, texts));
  } catch (error) {
    return errorMessage(error);
  }
}

/** As `/certs` names it. */
function pathOf(source: DataSource): string {
  return source.kind === 'file' ? source.path : '<inline>';
}
