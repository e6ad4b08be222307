/** What a conformance case is, and the bootstrap it runs on. */
import type { Exchange } from './client.ts';
import type { Behaviour } from './upstream.ts';

/** A difference on purpose: where the two part, and what each does. Anything else that differs fails the case. */
export interface Difference {
  readonly why: string;
  /**
   * Path in the compared record (`client[0].responses[0].start`) to both values. A value may be a pattern for text;
   * `'*'` is anything, and a path that ends in `.*` covers everything below it.
   */
  readonly at: { readonly [path: string]: { readonly envoy: unknown; readonly tollway: unknown } };
}

export interface Case {
  readonly name: string;
  /** One connection each, one after the other. */
  readonly client: Exchange | readonly Exchange[];
  /** Upstream name to what it does; those not named answer 200 with their name. */
  readonly upstreams?: { readonly [name: string]: Behaviour };
  /** Each exchange must take at least and at most so many milliseconds on both. */
  readonly takesMs?: readonly [least: number, most: number];
  readonly differs?: Difference;
}

/** Cases that share a bootstrap and so one run of each proxy. */
export interface Suite {
  readonly name: string;
  /** Names of the upstreams; `{{name}}` in the bootstrap is the port of one. */
  readonly upstreams: readonly string[];
  readonly bootstrap: object;
  /** The listener that clients connect to. */
  readonly listener: string;
  readonly cases: readonly Case[];
  /** Differences of the statistics at the end of the suite, by name. */
  readonly statsDiffer?: Difference;
}

export const typeUrl = (name: string): string => `type.googleapis.com/${name}`;

/** The access-log line every suite compares. */
export const LOG_FORMAT: { readonly [key: string]: string } = {
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  status: '%RESPONSE_CODE%',
  details: '%RESPONSE_CODE_DETAILS%',
  flags: '%RESPONSE_FLAGS%',
  received: '%BYTES_RECEIVED%',
  sent: '%BYTES_SENT%',
  upstream: '%UPSTREAM_HOST%',
  cluster: '%UPSTREAM_CLUSTER%',
  failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  route: '%ROUTE_NAME%',
  authority: '%REQ(:AUTHORITY)%',
};

export interface HttpWishes {
  /** A RouteConfiguration without its name, or its virtual hosts' routes for one virtual host `*`. */
  readonly routes: readonly object[] | { readonly virtual_hosts: readonly object[]; readonly [field: string]: unknown };
  /** Cluster name to upstream names, or to a whole cluster without its endpoints' addresses. */
  readonly clusters: {
    readonly [cluster: string]:
      | readonly string[]
      | { readonly endpoints: readonly string[]; readonly [field: string]: unknown };
  };
  /** More members of the connection manager. */
  readonly manager?: object;
  /** More members of the listener. */
  readonly listener?: object;
  readonly filters?: readonly object[];
}

export const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') },
};

/** A bootstrap with one HTTP listener `ingress`, its access log compared line by line. */
export function http(wishes: HttpWishes): object {
  const routes = Array.isArray(wishes.routes)
    ? { virtual_hosts: [{ name: 'all', domains: ['*'], routes: wishes.routes }] }
    : wishes.routes;
  return {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    static_resources: {
      listeners: [
        {
          name: 'ingress',
          address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typed_config: {
                    '@type': typeUrl(
                      'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                    ),
                    stat_prefix: 'ingress',
                    // Connections that the proxy ends end soon, so that a case sees it.
                    delayed_close_timeout: '0.03s',
                    access_log: [
                      {
                        name: 'envoy.access_loggers.file',
                        typed_config: {
                          '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
                          path: '{{folder}}/access.log',
                          log_format: { json_format: LOG_FORMAT },
                        },
                      },
                    ],
                    route_config: { name: 'routes', ...routes },
                    http_filters: [...(wishes.filters ?? []), ROUTER],
                    ...wishes.manager,
                  },
                },
              ],
            },
          ],
          ...wishes.listener,
        },
      ],
      clusters: Object.entries(wishes.clusters).map(([name, cluster]) => clusterOf(name, cluster)),
    },
  };
}

function clusterOf(name: string, cluster: readonly string[] | { readonly endpoints: readonly string[] }): object {
  const { endpoints, ...rest } = Array.isArray(cluster)
    ? { endpoints: cluster as readonly string[] }
    : (cluster as { readonly endpoints: readonly string[] });
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: endpoints.map((upstream) => ({
            endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: `{{${upstream}}}` } } },
          })),
        },
      ],
    },
    ...rest,
  };
}

/** The bootstrap's text with the upstreams' ports in place. */
export function render(bootstrap: object, ports: ReadonlyMap<string, number>): string {
  let text = JSON.stringify(bootstrap, null, 1);
  for (const [name, port] of ports)
    text = text.replaceAll(`"{{${name}}}"`, String(port)).replaceAll(`{{${name}}}`, String(port));
  return text;
}
