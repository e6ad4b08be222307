/** Pods for tests of the mesh on one machine. */
import type { Pod } from '../../deploy/local/istio/mesh.ts';

let next = 1;

export function pod(name: string, changes: Partial<Pod> = {}): Pod {
  const ip = `127.1.1.${next++}`;
  return {
    name: `${name}-0`,
    namespace: 'bank',
    deployment: name,
    serviceAccount: name,
    labels: { app: name },
    ip,
    ports: { app: 8080, inbound: 15006, outbound: 15001, admin: 15000, gateway: {} },
    gateway: false,
    ...changes,
  };
}

/** Walks into JSON that a test knows the shape of. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let found = value;
  for (const step of path) found = (found as { readonly [key: string | number]: unknown } | undefined)?.[step];
  return found;
}
