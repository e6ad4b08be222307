/**
 * A source with a file of further roots beside it, for an authority whose root changes: while the file has the old root and the
 * new one, workloads that were signed by either trust each other. Istio keeps such a file in every namespace.
 */

import { parseCertificates } from '../tls-context.ts';
import { trustError } from '../validate.ts';
import type { Identity, IdentityListener, IdentitySource, TrustBundle } from './contract.ts';
import { WatchedFiles } from './files.ts';

export class ExtraRoots implements IdentitySource {
  readonly #source: IdentitySource;
  readonly #path: string;
  readonly #pollMs: number | undefined;
  #files: WatchedFiles<'roots'> | undefined;
  #identity: Identity | undefined;
  #roots: string | undefined;

  /** `path`: PEM, watched. `pollMs`: how often to look without being told. */
  constructor(source: IdentitySource, path: string, pollMs?: number) {
    this.#source = source;
    this.#path = path;
    this.#pollMs = pollMs;
  }

  start(listener: IdentityListener): void {
    const tell = (): void => {
      if (this.#identity !== undefined) listener.updated(withRoots(this.#identity, this.#roots));
    };
    this.#files = new WatchedFiles<'roots'>({
      paths: { roots: this.#path },
      directories: [],
      check: ({ roots }) => trustError({ trustedCa: String(roots), crl: undefined }),
      onChange: ({ roots }) => {
        this.#roots = String(roots);
        tell();
      },
      // the identity serves without: its own root came with it
      onError: (reason) => listener.problem({ kind: 'refused', reason, retryInMs: undefined }),
      ...(this.#pollMs === undefined ? {} : { pollMs: this.#pollMs }),
    });
    this.#source.start({
      updated: (identity) => {
        this.#identity = identity;
        tell();
      },
      problem: (problem) => listener.problem(problem),
    });
  }

  close(): void {
    this.#files?.close();
    this.#source.close();
  }
}

/** To the workload's own trust domain, each certificate once. */
function withRoots(identity: Identity, roots: string | undefined): Identity {
  const [own, ...others] = identity.bundles;
  if (own === undefined || roots === undefined) return identity;
  const known = new Set(parseCertificates(own.pem).map(({ fingerprint256 }) => fingerprint256));
  const added = parseCertificates(roots).filter(({ fingerprint256 }) => {
    const isNew = !known.has(fingerprint256);
    known.add(fingerprint256);
    return isNew;
  });
  const pem = [own.pem.trimEnd(), ...added.map((root) => root.toString().trimEnd()), ''].join('\n');
  const bundle: TrustBundle = { ...own, pem };
  return { ...identity, bundles: [bundle, ...others] };
}
