/** Messages of the SPIFFE Workload API, read and checked (https://spiffe.io/docs/latest/spiffe-specs/spiffe_workload_api/ §5.2). Pure. */
import { createPrivateKey } from 'node:crypto';
import { decodeMessage } from '../../protos/index.ts';
import { keyPem } from '../csr.ts';
import { pemOfDer } from '../der-list.ts';
import { fitBundle, fitCertificate } from '../fitness.ts';
import { parseSpiffeId } from '../identity.ts';
import { type IdentityCertificate, UnfitIdentity } from './contract.ts';

/** Trust domain to PEM. */
export type Bundles = ReadonlyMap<string, string>;

export interface SvidResponse {
  /** One or more. */
  readonly certificates: readonly IdentityCertificate[];
  /** Of the first certificate: the workload's own. */
  readonly trustDomain: string;
  readonly bundles: Bundles;
  /** PEM. */
  readonly crl: string | undefined;
}

const SCHEME = 'spiffe://';

/** Throws `UnfitIdentity` when a part of it cannot be used: half an identity is none. */
export function readSvids(message: Buffer, now: number): SvidResponse {
  const { svids = [], crl, federated_bundles = {} } = decoded(() => decodeMessage('X509SVIDResponse', message));
  const bundles = new Map<string, string>();
  const certificates = svids.map((svid): IdentityCertificate => {
    const { spiffe_id = '', x509_svid = NOTHING, x509_svid_key = NOTHING, bundle = NOTHING, hint = '' } = svid;
    const roots = bundleOf(bundle);
    const chain = decoded(() => pemOfDer('CERTIFICATE', x509_svid));
    const key = decoded(() => keyPem(createPrivateKey({ key: x509_svid_key, format: 'der', type: 'pkcs8' })));
    const material = { chain, key, password: undefined, ocspStaple: undefined };
    const fit = fitCertificate(material, { spiffeId: spiffe_id, roots, now });
    bundles.set(trustDomainOf(spiffe_id), roots);
    return { ...fit, hint: hint === '' ? undefined : hint, since: fit.validity.notBefore };
  });
  const [first] = svids;
  if (first === undefined) throw new UnfitIdentity('the answer has no SVID');
  for (const [domain, bytes] of Object.entries(federated_bundles)) bundles.set(trustDomainOf(domain), bundleOf(bytes));
  return { certificates, trustDomain: trustDomainOf(first.spiffe_id ?? ''), bundles, crl: crlOf(crl) };
}

/** Throws `UnfitIdentity`. */
export function readBundles(message: Buffer): { readonly bundles: Bundles; readonly crl: string | undefined } {
  const { bundles = {}, crl } = decoded(() => decodeMessage('X509BundlesResponse', message));
  const read = Object.entries(bundles).map(([domain, bytes]) => [trustDomainOf(domain), bundleOf(bytes)] as const);
  return { bundles: new Map(read), crl: crlOf(crl) };
}

const NOTHING = Buffer.alloc(0);

function bundleOf(bytes: Buffer): string {
  const pem = decoded(() => pemOfDer('CERTIFICATE', bytes));
  fitBundle(pem);
  return pem;
}

function crlOf(lists: readonly Buffer[] | undefined): string | undefined {
  const pem = (lists ?? []).map((der) => decoded(() => pemOfDer('X509 CRL', der))).join('');
  return pem === '' ? undefined : pem;
}

/** Keys of the maps are ids of trust domains; some servers write the bare name. */
function trustDomainOf(id: string): string {
  const parsed = parseSpiffeId(id.startsWith(SCHEME) ? id : SCHEME + id);
  if ('error' in parsed) throw new UnfitIdentity(parsed.error);
  return parsed.trustDomain;
}

/** What OpenSSL and the codec throw names formats, never content. */
function decoded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UnfitIdentity(`the answer does not parse: ${error instanceof Error ? error.message : 'failed'}`);
  }
}
