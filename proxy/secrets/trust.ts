/** The trust of a validation context: which texts it is made of, and what they make. */
import type { TrustMaterial } from '../../certs/material.ts';
import { readBundleMap } from '../../certs/trust-domains.ts';
import type { DataSource } from '../../xds-client/model/common.ts';
import type { ValidationContext } from '../../xds-client/model/tls.ts';

export type TrustPart = 'ca' | 'crl' | 'bundles' | `domain ${number}`;
export type TrustSources = { readonly [part in TrustPart]?: DataSource | undefined };

export function trustSources({ trustedCa, crl, spiffe }: ValidationContext): TrustSources {
  if (spiffe === undefined) return { ca: trustedCa, crl };
  const sources: { [part in TrustPart]?: DataSource | undefined } = { crl, bundles: spiffe.bundles };
  for (const [at, { bundle }] of spiffe.domains.entries()) sources[`domain ${at}`] = bundle;
  return sources;
}

/** Throws when a bundle map is none. */
export function trustMaterial(
  { spiffe }: ValidationContext,
  texts: { readonly [part in TrustPart]?: string },
): TrustMaterial {
  if (spiffe === undefined) return { trustedCa: texts.ca, crl: texts.crl };
  const domains =
    spiffe.bundles === undefined
      ? spiffe.domains.map(({ name }, at) => ({ name, authorities: texts[`domain ${at}`] ?? '' }))
      : readBundleMap(texts.bundles ?? '');
  return { trustedCa: domains.map(({ authorities }) => authorities).join('\n'), crl: texts.crl, domains };
}
