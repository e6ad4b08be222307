/** Signature algorithms that still prove something. */

/** `digest`: as node:crypto wants it; `null` where the algorithm has its own. RSA-PSS has parameters: of certificates only. */
export const HASHES: { readonly [algorithm: string]: { readonly digest: string | null } } = {
  '1.2.840.10045.4.3.2': { digest: 'sha256' },
  '1.2.840.10045.4.3.3': { digest: 'sha384' },
  '1.2.840.10045.4.3.4': { digest: 'sha512' },
  '1.2.840.113549.1.1.11': { digest: 'sha256' },
  '1.2.840.113549.1.1.12': { digest: 'sha384' },
  '1.2.840.113549.1.1.13': { digest: 'sha512' },
  '1.3.101.112': { digest: null },
};

const RSA_PSS = '1.2.840.113549.1.1.10';

export function isStrong(algorithm: string): boolean {
  return algorithm === RSA_PSS || Object.hasOwn(HASHES, algorithm);
}
