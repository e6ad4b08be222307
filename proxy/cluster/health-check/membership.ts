/**
 * Which endpoints a checked cluster has (Envoy, "Service discovery": discovery is not to be trusted alone). One that
 * discovery took away stays while it passes its checks. Pure.
 */
import type { Assignment, Endpoint, LocalityEndpoints } from '../../../xds-client/model/endpoint.ts';
import { addressText } from '../../upstream/contract.ts';

/** What `next` says, with those endpoints of `before` that `stays` speaks for, in their localities. */
export function stabilized(
  before: Assignment,
  next: Assignment,
  stays: (endpoint: Endpoint, address: string) => boolean,
): { readonly assignment: Assignment; readonly kept: ReadonlySet<string> } {
  const named = new Set(
    next.localities.flatMap(({ endpoints }) => endpoints.map(({ address }) => addressText(address))),
  );
  const kept = new Set<string>();
  const localities: LocalityEndpoints[] = [...next.localities];
  for (const locality of before.localities) {
    const staying = locality.endpoints.filter((endpoint) => {
      const address = addressText(endpoint.address);
      return !named.has(address) && !kept.has(address) && stays(endpoint, address);
    });
    if (staying.length === 0) continue;
    for (const { address } of staying) kept.add(addressText(address));
    const at = localities.findIndex((other) => samePlace(other, locality));
    const place = localities[at];
    if (place === undefined) localities.push({ ...locality, endpoints: staying });
    else localities[at] = { ...place, endpoints: [...place.endpoints, ...staying] };
  }
  return kept.size === 0 ? { assignment: next, kept } : { assignment: { ...next, localities }, kept };
}

function samePlace(a: LocalityEndpoints, b: LocalityEndpoints): boolean {
  const { locality: here } = a;
  const { locality: there } = b;
  return (
    a.priority === b.priority &&
    here.region === there.region &&
    here.zone === there.zone &&
    here.subZone === there.subZone
  );
}
