/** An identity as SDS secrets, under the names that configurations ask for. Pure. */
import type { Identity, IdentityCertificate, TrustBundle } from '../../certs/source/contract.ts';
import { encodeMessage, type MessageObject } from '../../protos/index.ts';

export interface SecretNames {
  readonly certificate: string;
  readonly trust: string;
}

const SPIFFE = 'spiffe://';
/** Every trust domain with its bundle, as SPIRE's agent calls it. */
const ALL = 'ALL';
const VALIDATOR = 'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';
const FILE_CERTIFICATE = 'file-cert:';
const FILE_ROOT = 'file-root:';

/** Names that say where to look, as Istio's agent understands them: they need no identity. */
export function isFileName(name: string): boolean {
  return name.startsWith(FILE_CERTIFICATE) || (name.startsWith(FILE_ROOT) && name !== `${FILE_ROOT}system`);
}

/**
 * envoy.extensions.transport_sockets.tls.v3.Secret by its name: the configured two (the default certificate, the own trust
 * domain's bundle), a certificate by its SPIFFE id or hint, a bundle by its trust domain's id, `ALL` trust domains, and Istio's
 * `file-cert:chain~key` and `file-root:path`. `undefined`: there is none.
 */
export function identitySecret(
  name: string,
  identity: Identity | undefined,
  names: SecretNames,
): MessageObject | undefined {
  if (isFileName(name)) return fileSecret(name);
  if (identity === undefined) return undefined;
  const { certificates, bundles, crl } = identity;
  if (name === names.certificate) return certificateSecret(name, certificates[0]);
  if (name === names.trust) return trustSecret(name, bundles[0], crl);
  if (name === ALL) return allDomains(bundles);
  const bundle = bundles.find(({ trustDomain }) => trustDomain !== undefined && name === SPIFFE + trustDomain);
  if (bundle !== undefined) return trustSecret(name, bundle, crl);
  return certificateSecret(
    name,
    certificates.find(({ spiffeId, hint }) => spiffeId === name || hint === name),
  );
}

function certificateSecret(name: string, certificate: IdentityCertificate | undefined): MessageObject | undefined {
  if (certificate === undefined) return undefined;
  const { chain, key } = certificate.material;
  return {
    name,
    tls_certificate: { certificate_chain: { inline_string: chain }, private_key: { inline_string: key } },
  };
}

function trustSecret(
  name: string,
  bundle: TrustBundle | undefined,
  crl: string | undefined,
): MessageObject | undefined {
  if (bundle === undefined) return undefined;
  const trusted_ca = { inline_string: bundle.pem };
  return { name, validation_context: crl === undefined ? { trusted_ca } : { trusted_ca, crl: { inline_string: crl } } };
}

/** Peers are held against the bundle of the trust domain they say they are of. */
function allDomains(bundles: readonly TrustBundle[]): MessageObject {
  const trust_domains = bundles.map(({ trustDomain = '', pem }) => ({
    name: trustDomain,
    trust_bundle: { inline_string: pem },
  }));
  const typed_config = {
    type_url: `type.googleapis.com/${VALIDATOR}`,
    value: encodeMessage(VALIDATOR, { trust_domains }),
  };
  const custom_validator_config = { name: 'envoy.tls.cert_validator.spiffe', typed_config };
  return { name: ALL, validation_context: { custom_validator_config } };
}

function fileSecret(name: string): MessageObject {
  if (name.startsWith(FILE_ROOT)) {
    return { name, validation_context: { trusted_ca: { filename: name.slice(FILE_ROOT.length) } } };
  }
  const [chain = '', key = ''] = name.slice(FILE_CERTIFICATE.length).split('~');
  return { name, tls_certificate: { certificate_chain: { filename: chain }, private_key: { filename: key } } };
}
