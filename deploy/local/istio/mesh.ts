/** What the mesh's YAML says, read and checked: Istio's API and the few Kubernetes kinds it leans on. */

/** A pod's place: where its application, its sidecar and the sidecar's admin page listen. */
export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly deployment: string;
  readonly serviceAccount: string;
  readonly labels: { readonly [key: string]: string };
  readonly ip: string;
  readonly ports: PodPorts;
  /** Runs no application: the Tollway process itself is the gateway. */
  readonly gateway: boolean;
}

export interface PodPorts {
  readonly app: number;
  readonly inbound: number;
  readonly outbound: number;
  readonly admin: number;
  /** Of a gateway: port of the Gateway resource to the port that is really bound. */
  readonly gateway: { readonly [port: string]: number };
}

export interface Deployment {
  readonly name: string;
  readonly namespace: string;
  readonly replicas: number;
  readonly labels: { readonly [key: string]: string };
  readonly serviceAccount: string;
  readonly image: string;
  readonly containerPort: number | undefined;
}

export interface Service {
  readonly name: string;
  readonly namespace: string;
  /** `name.namespace.svc.cluster.local` */
  readonly host: string;
  readonly selector: { readonly [key: string]: string };
  readonly ports: readonly ServicePort[];
}

export interface ServicePort {
  readonly number: number;
  /** Its `appProtocol`, or its name up to the first dash, says gRPC or HTTP/2. */
  readonly http2: boolean;
}

export interface Gateway {
  readonly name: string;
  readonly namespace: string;
  readonly selector: { readonly [key: string]: string };
  readonly servers: readonly { readonly port: number; readonly hosts: readonly string[] }[];
}

export type TextMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string };

export interface HttpMatch {
  readonly uri: TextMatch | undefined;
  readonly method: TextMatch | undefined;
  readonly headers: readonly { readonly name: string; readonly match: TextMatch }[];
}

export interface Destination {
  readonly host: string;
  readonly subset: string | undefined;
  readonly port: number | undefined;
  readonly weight: number;
}

export interface HttpRoute {
  readonly name: string;
  /** Empty: everything. */
  readonly matches: readonly HttpMatch[];
  readonly destinations: readonly Destination[];
  readonly rewriteUri: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly retries:
    | { readonly attempts: number; readonly perTryTimeoutMs: number | undefined; readonly retryOn: string | undefined }
    | undefined;
}

export interface VirtualService {
  readonly name: string;
  readonly namespace: string;
  readonly hosts: readonly string[];
  /** As written; `mesh` means the sidecars. Empty is `mesh`. */
  readonly gateways: readonly string[];
  readonly http: readonly HttpRoute[];
  readonly source: string;
}

export interface TrafficPolicy {
  readonly lb: 'LEAST_REQUEST' | 'ROUND_ROBIN' | 'RANDOM';
  readonly connectTimeoutMs: number | undefined;
  readonly maxConnections: number | undefined;
  readonly maxPendingRequests: number | undefined;
  readonly maxRequests: number | undefined;
  readonly maxRetries: number | undefined;
  readonly maxRequestsPerConnection: number | undefined;
  readonly idleTimeoutMs: number | undefined;
}

export interface DestinationRule {
  readonly name: string;
  readonly namespace: string;
  readonly host: string;
  readonly policy: TrafficPolicy;
  readonly subsets: readonly {
    readonly name: string;
    readonly labels: { readonly [key: string]: string };
    readonly policy: TrafficPolicy;
  }[];
}

export interface Mesh {
  readonly deployments: readonly Deployment[];
  readonly services: readonly Service[];
  readonly gateways: readonly Gateway[];
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly warnings: readonly string[];
}

export function selects(
  selector: { readonly [key: string]: string },
  labels: { readonly [key: string]: string },
): boolean {
  const wanted = Object.entries(selector);
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
}

export function serviceHost(name: string, namespace: string): string {
  return `${name}.${namespace}.svc.cluster.local`;
}
