/** A combined validation context: SDS's over the defaults, as protobuf merges messages (Envoy's MergeFrom). Pure. */
import type { ValidationContext } from '../../xds-client/model/tls.ts';

export function mergeValidation(defaults: ValidationContext | undefined, sds: ValidationContext): ValidationContext {
  if (defaults === undefined) return sds;
  return {
    trustedCa: sds.trustedCa ?? defaults.trustedCa,
    watchedDirectory: sds.watchedDirectory ?? defaults.watchedDirectory,
    // repeated fields are appended, not replaced
    sanMatches: [...defaults.sanMatches, ...sds.sanMatches],
    certificateHashes: [...defaults.certificateHashes, ...sds.certificateHashes],
    spkiHashes: [...defaults.spkiHashes, ...sds.spkiHashes],
    crl: sds.crl ?? defaults.crl,
    onlyLeafCrl: defaults.onlyLeafCrl || sds.onlyLeafCrl,
    allowExpired: defaults.allowExpired || sds.allowExpired,
    trustChain: sds.trustChain === 'verify' ? defaults.trustChain : sds.trustChain,
    maxVerifyDepth: sds.maxVerifyDepth ?? defaults.maxVerifyDepth,
    spiffe: sds.spiffe ?? defaults.spiffe,
  };
}
