/** SPIFFE ids (SPIFFE-ID, https://spiffe.io/docs/latest/spiffe-specs/spiffe-id/ §2): parse, format, match. Pure. */

export interface SpiffeId {
  readonly trustDomain: string;
  /** With its leading slash: `/ns/pay/sa/settlement`. Empty for the trust domain itself. */
  readonly path: string;
}

/** What Istio and most meshes put in the path. */
export interface WorkloadIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const SCHEME = 'spiffe://';
const MAX_BYTES = 2048;
const MAX_TRUST_DOMAIN = 255;
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** The id, or the reason why `text` is none. */
export function parseSpiffeId(text: string): SpiffeId | { readonly error: string } {
  if (!text.startsWith(SCHEME)) return { error: `"${clip(text)}" is not a SPIFFE id: it must start with spiffe://` };
  if (Buffer.byteLength(text) > MAX_BYTES) return { error: `a SPIFFE id has at most ${MAX_BYTES} bytes` };
  const rest = text.slice(SCHEME.length);
  const slash = rest.indexOf('/');
  const trustDomain = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? '' : rest.slice(slash);
  if (trustDomain.length > MAX_TRUST_DOMAIN || !TRUST_DOMAIN.test(trustDomain)) {
    return { error: `trust domain "${clip(trustDomain)}" may hold a-z, 0-9, dot, dash and underscore only` };
  }
  if (path === '') return { trustDomain, path };
  for (const segment of path.slice(1).split('/')) {
    if (segment === '.' || segment === '..' || !SEGMENT.test(segment)) {
      return { error: `path segment "${clip(segment)}" of a SPIFFE id is empty, relative or holds other characters` };
    }
  }
  return { trustDomain, path };
}

export function formatSpiffeId(id: SpiffeId): string {
  return `${SCHEME}${id.trustDomain}${id.path}`;
}

/** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export function workloadSpiffeId(workload: WorkloadIdentity): string {
  return `${SCHEME}${workload.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`;
}

/** The workload that an id names, when its path has the usual form. */
export function workloadOf(id: SpiffeId): WorkloadIdentity | undefined {
  const [empty, ns, namespace, sa, serviceAccount, more] = id.path.split('/');
  if (empty !== '' || ns !== 'ns' || sa !== 'sa' || more !== undefined) return undefined;
  if (namespace === undefined || serviceAccount === undefined) return undefined;
  return { trustDomain: id.trustDomain, namespace, serviceAccount };
}

/**
 * True when `id` is `pattern`, or lies below it: a pattern that is a bare trust domain takes all of its members, one
 * that ends in `/*` everything below that path. Comparison is by segments: `/ns/pay/*` does not take `/ns/payroll/x`.
 */
export function matchesSpiffeId(id: string, pattern: string): boolean {
  const parsed = parseSpiffeId(id);
  if ('error' in parsed) return false;
  if (pattern.endsWith('/*')) return id.startsWith(pattern.slice(0, -1)) && !('error' in below(pattern));
  const wanted = parseSpiffeId(pattern);
  if ('error' in wanted) return false;
  if (wanted.path === '') return parsed.trustDomain === wanted.trustDomain;
  return id === pattern;
}

function below(pattern: string): SpiffeId | { readonly error: string } {
  return parseSpiffeId(pattern.slice(0, -2));
}

function clip(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
