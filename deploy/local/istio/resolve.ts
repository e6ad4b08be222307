/** What a name in Istio's API means from the namespace where it is written. */
import type { Gateway, Mesh, Service } from './mesh.ts';

export class Names {
  readonly warnings: string[] = [];
  private readonly mesh: Mesh;

  constructor(mesh: Mesh) {
    this.mesh = mesh;
  }

  /**
   * The service that `host` names when written in `namespace`: `name`, `name.namespace`, up to the full name. A short name
   * that its own namespace does not know is looked for in the others, with a warning, and taken when it is the only one.
   */
  service(host: string, namespace: string, source: string): Service | undefined {
    const { services } = this.mesh;
    if (host.includes('.')) {
      return services.find((s) => s.host === host || s.host.startsWith(`${host}.`));
    }
    const own = services.find((s) => s.name === host && s.namespace === namespace);
    if (own !== undefined) return own;
    const elsewhere = services.filter((s) => s.name === host);
    const only = elsewhere.length === 1 ? elsewhere[0] : undefined;
    this.warn(
      only === undefined
        ? `${source}: no service ${host} in namespace ${namespace}: requests to it are answered 503`
        : `${source}: no service ${host} in namespace ${namespace}: taken as ${only.host}`,
    );
    return only;
  }

  /** The gateway that `name` (`name` or `namespace/name`) means when written in `namespace`. */
  gateway(name: string, namespace: string, source: string): Gateway | undefined {
    const { gateways } = this.mesh;
    const [first, second] = name.split('/') as [string, string | undefined];
    if (second !== undefined) return gateways.find((g) => g.namespace === first && g.name === second);
    const own = gateways.find((g) => g.name === name && g.namespace === namespace);
    if (own !== undefined) return own;
    const elsewhere = gateways.filter((g) => g.name === name);
    const only = elsewhere.length === 1 ? elsewhere[0] : undefined;
    this.warn(
      only === undefined
        ? `${source}: no gateway ${name} in namespace ${namespace}: its routes serve nobody`
        : `${source}: no gateway ${name} in namespace ${namespace}: taken as ${only.namespace}/${only.name}`,
    );
    return only;
  }

  private warn(message: string): void {
    if (!this.warnings.includes(message)) this.warnings.push(message);
  }
}
