/** Trust domains, each vouched for by authorities of its own: Envoy's SPIFFE certificate validator. */
import type { MessageObject } from '../../protos/index.ts';
import type { SpiffeValidation } from '../model/tls.ts';
import { decodeDataSource, each, inside } from './common.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { text } from './fields.ts';

const CONFIG = 'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';

support(CONFIG, { acts: ['trust_domains', 'trust_bundles'] });
support(`${CONFIG}.TrustDomain`, {
  acts: ['name', 'trust_bundle'],
  refused: { workload_trust_domain: 'every peer is held against the bundle of its own trust domain' },
});

function decode(config: MessageObject, ctx: DecodeContext): SpiffeValidation {
  const names = new Set<string>();
  const domains = each(config, 'trust_domains', ctx, (domain) => {
    const name = text(domain, 'name');
    if (names.has(name)) ctx.error(`Multiple trust bundles are given for one trust domain for ${name}`, 'name');
    names.add(name);
    const bundle = inside(domain, 'trust_bundle', ctx, decodeDataSource);
    if (bundle === undefined) ctx.error('value is required', 'trust_bundle');
    return { name, bundle: bundle ?? decodeDataSource({}) };
  });
  const bundles = inside(config, 'trust_bundles', ctx, decodeDataSource);
  if (domains.length === 0 && bundles === undefined) ctx.error('needs trust_domains or trust_bundles');
  // Envoy reads the map and leaves the list alone where both are given
  return { domains: bundles === undefined ? domains : [], bundles };
}

export const SPIFFE_VALIDATOR: Extension<SpiffeValidation> = {
  name: 'envoy.tls.cert_validator.spiffe',
  type: CONFIG,
  decode,
};
