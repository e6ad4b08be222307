/** Which pods the mesh's deployments ask for, and where on this machine each of them lives. */
import { createServer } from 'node:net';
import type { Deployment, Mesh, Pod, PodPorts } from './istio/mesh.ts';

const GATEWAY_IMAGE = 'tollway';

/**
 * Hands out addresses. On Linux every address of 127.0.0.0/8 is this machine, so each pod has one of its own and the
 * ports are the same in all of them, as in a cluster; elsewhere pods share 127.0.0.1 and differ in their ports.
 */
export class Addresses {
  private readonly subnet: number | undefined;
  private next = 1;

  private constructor(subnet: number | undefined) {
    this.subnet = subnet;
  }

  /** Finds a subnet 127.1.n.0/24 that nobody uses. */
  static async find(): Promise<Addresses> {
    if (process.platform !== 'linux') return new Addresses(undefined);
    for (let subnet = 1; subnet < 250; subnet++) {
      if (await isFree(`127.1.${subnet}.1`, 15006)) return new Addresses(subnet);
    }
    return new Addresses(undefined);
  }

  async sidecar(appPort: number): Promise<{ readonly ip: string; readonly ports: PodPorts }> {
    if (this.subnet !== undefined) {
      const ip = `127.1.${this.subnet}.${this.next++}`;
      return { ip, ports: { app: appPort, inbound: 15006, outbound: 15001, admin: 15000, gateway: {} } };
    }
    const [app, inbound, outbound, admin] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    return { ip: '127.0.0.1', ports: { app, inbound, outbound, admin, gateway: {} } };
  }

  /** The gateway is at 127.0.0.1 for the client's sake; a port that is taken (or below 1024) is replaced. */
  async gateway(ports: readonly number[]): Promise<{ readonly ip: string; readonly ports: PodPorts }> {
    const bound: { [port: string]: number } = {};
    for (const port of ports) bound[String(port)] = await portNear(port < 1024 ? port + 8000 : port);
    const admin = await portNear(15000);
    return { ip: '127.0.0.1', ports: { app: 0, inbound: 0, outbound: 0, admin, gateway: bound } };
  }
}

/** Keeps the pods of a mesh: the same deployment and ordinal stay the same pod while the mesh changes. */
export class Pods {
  private readonly known = new Map<string, Pod>();
  private readonly addresses: Addresses;

  constructor(addresses: Addresses) {
    this.addresses = addresses;
  }

  /** The pods of `mesh` in the order of its deployments, new ones with an address of their own. */
  async of(mesh: Mesh): Promise<readonly Pod[]> {
    const pods: Pod[] = [];
    for (const deployment of mesh.deployments) {
      for (let ordinal = 0; ordinal < deployment.replicas; ordinal++) {
        pods.push(await this.pod(mesh, deployment, ordinal));
      }
    }
    for (const name of this.known.keys()) {
      if (!pods.some((pod) => podKey(pod) === name)) this.known.delete(name);
    }
    return pods;
  }

  private async pod(mesh: Mesh, deployment: Deployment, ordinal: number): Promise<Pod> {
    const name = `${deployment.name}-${ordinal}`;
    const key = `${deployment.namespace}/${name}`;
    const known = this.known.get(key);
    const gateway = deployment.image === GATEWAY_IMAGE;
    const place =
      known ??
      (gateway
        ? await this.addresses.gateway(mesh.gateways.flatMap((g) => g.servers.map((server) => server.port)))
        : await this.addresses.sidecar(deployment.containerPort ?? 8080));
    const pod: Pod = {
      name,
      namespace: deployment.namespace,
      deployment: deployment.name,
      serviceAccount: deployment.serviceAccount,
      labels: deployment.labels,
      ip: place.ip,
      ports: place.ports,
      gateway,
    };
    this.known.set(key, pod);
    return pod;
  }
}

export function podKey(pod: Pod): string {
  return `${pod.namespace}/${pod.name}`;
}

/** Istio's node id: `sidecar~IP~name.namespace~namespace.svc.cluster.local`. */
export function nodeId(pod: Pod): string {
  return `${pod.gateway ? 'router' : 'sidecar'}~${pod.ip}~${pod.name}.${pod.namespace}~${pod.namespace}.svc.cluster.local`;
}

async function portNear(wanted: number): Promise<number> {
  return (await isFree('127.0.0.1', wanted)) ? wanted : freePort();
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
