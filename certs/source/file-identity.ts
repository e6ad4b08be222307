/** An identity in files, cert-manager's (`tls.crt`, `tls.key`, `ca.crt`) or anybody's: watched, taken together or not at all. */

import { namesOf, validityOf } from '../fitness.ts';
import { parseCertificates } from '../tls-context.ts';
import { certificateError, trustError } from '../validate.ts';
import { type Identity, type IdentityListener, type IdentitySource, UnfitIdentity } from './contract.ts';
import { type FileContents, WatchedFiles } from './files.ts';

export interface FileIdentityOptions {
  /** PEM: leaf first; its key; whom to trust. */
  readonly chain: string;
  readonly key: string;
  readonly ca: string;
  /** How often to look without being told. */
  readonly pollMs?: number;
}

type Part = 'chain' | 'key' | 'ca';

export class FileIdentity implements IdentitySource {
  readonly #options: FileIdentityOptions;
  #files: WatchedFiles<Part> | undefined;

  constructor(options: FileIdentityOptions) {
    this.#options = options;
  }

  start(listener: IdentityListener): void {
    const { chain, key, ca, pollMs } = this.#options;
    this.#files = new WatchedFiles<Part>({
      paths: { chain, key, ca },
      directories: [],
      secrets: ['key'],
      check: (contents) =>
        certificateError(materialOf(contents)) ?? trustError(trustOf(contents)) ?? namesError(contents),
      onChange: (contents) => listener.updated(identityOf(contents)),
      onError: (reason) => listener.problem({ kind: 'refused', reason, retryInMs: undefined }),
      ...(pollMs === undefined ? {} : { pollMs }),
    });
  }

  close(): void {
    this.#files?.close();
  }
}

function materialOf(contents: FileContents<Part>) {
  const [chain, key] = [contents.chain?.toString() ?? '', contents.key?.toString() ?? ''];
  return { chain, key, password: undefined, ocspStaple: undefined };
}

function trustOf(contents: FileContents<Part>) {
  return { trustedCa: contents.ca?.toString() ?? '', crl: undefined };
}

function namesError(contents: FileContents<Part>): string | undefined {
  try {
    identityOf(contents);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Of contents that passed the check. Names are nobody's business but of who meets them: a DNS name will do. */
function identityOf(contents: FileContents<Part>): Identity {
  const material = materialOf(contents);
  const [leaf] = parseCertificates(material.chain);
  if (leaf === undefined) throw new UnfitIdentity('there is no certificate');
  const validity = validityOf(leaf);
  const [spiffeId] = namesOf(leaf).uris;
  return {
    certificates: [{ spiffeId, hint: undefined, material, validity, since: validity.notBefore }],
    bundles: [{ trustDomain: undefined, pem: trustOf(contents).trustedCa }],
    crl: undefined,
  };
}
