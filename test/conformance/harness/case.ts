/** What a conformance case is, and the bootstrap it runs on. */
import type { Exchange } from './client.ts';
import type { Behaviour, UpstreamTlsOptions } from './upstream.ts';

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
  /** Admin paths posted before the case. */
  readonly admin?: readonly string[];
  /** One connection each, one after the other. */
  readonly client: Exchange | readonly Exchange[];
  /** Paths that are posted to the admin port before anything else happens. */
  readonly posts?: readonly string[];
  /** All connections at once. */
  readonly together?: boolean;
  /** Access-log lines to wait for, where it is not one a response. */
  readonly logLines?: number;
  /** Upstream name to what it does; those not named answer 200 with their name. */
  readonly upstreams?: { readonly [name: string]: Behaviour };
  /** The first case: these upstreams go on as they began, and what they saw since the proxy's start is compared. */
  readonly sinceStart?: readonly string[];
  /** Each exchange must take at least and at most so many milliseconds on both. */
  readonly takesMs?: readonly [least: number, most: number];
  readonly differs?: Difference;
}

/** Statistics that differ on purpose: name to Envoy's count and Tollway's. */
export const counts = (
  why: string,
  at: { readonly [name: string]: readonly [envoy: number, tollway: number] },
): Difference => ({
  why,
  at: Object.fromEntries(Object.entries(at).map(([name, [envoy, tollway]]) => [name, { envoy, tollway }])),
});

/** Envoy serves the request of a case; Tollway refuses it on purpose and closes. */
export function refused(why: string, answer = 'HTTP/1.1 200 OK'): Difference {
  const any = { envoy: '*', tollway: '*' };
  const closes = answer.startsWith('HTTP/1.0');
  return {
    why,
    at: {
      'client[0].responses[0].start': { envoy: answer, tollway: 'HTTP/1.1 400 Bad Request' },
      'client[0].responses[0].headers.*': any,
      'client[0].responses[0].body': { envoy: '*', tollway: 'Bad Request' },
      ...(closes ? {} : { 'client[0].end': { envoy: 'open', tollway: 'closed' } }),
      'upstreams.a[0]': { envoy: '*', tollway: undefined },
      'accessLog[0].*': any,
    },
  };
}

/** Cases that share a bootstrap and so one run of each proxy. */
export interface Suite {
  readonly name: string;
  /** Names of the upstreams; `{{name}}` in the bootstrap is the port of one. */
  readonly upstreams: readonly string[];
  readonly bootstrap: object;
  /** The listener that clients connect to, but for exchanges that name another. */
  readonly listener: string;
  /** Files to write to `{{folder}}` before the proxy starts: name to text. */
  readonly files?: { readonly [name: string]: string };
  /** Upstreams that speak TLS. */
  readonly upstreamTls?: { readonly [upstream: string]: UpstreamTlsOptions };
  /** What upstreams do while the proxy starts; those not named answer 200 with their name. */
  readonly atStart?: { readonly [upstream: string]: Behaviour };
  /** Upstreams that speak HTTP/2. */
  readonly upstreamHttp2?: readonly string[];
  /** Compares also on which connection an upstream saw each request. */
  readonly connections?: boolean;
  readonly cases: readonly Case[];
  /** Differences of the statistics at the end of the suite, by name. */
  readonly statsDiffer?: Difference;
}

/** Statistics that differ on purpose, whatever they count; a name may end in `.*`. */
export const countedApart = (why: string, names: readonly string[]): Difference => ({
  why,
  at: Object.fromEntries(names.map((name) => [name, { envoy: '*', tollway: '*' }])),
});

/** What one retry more or less on cluster `a` of listener `ingress` changes; both answers are a 503 and then a 200. */
export const ONE_RETRY_APART: readonly string[] = [
  ...['503', '5xx', 'completed'].map((name) => `cluster.a.retry.upstream_rq_${name}`),
  // Envoy gives a connection up whose answer it does not read to the end.
  ...['cx_http1_total', 'cx_total', 'rq_pending_total'].map((name) => `cluster.a.upstream_${name}`),
  ...['200', '2xx', '503', '5xx', 'retry', 'retry_backoff_exponential', 'retry_success', 'total'].map(
    (name) => `cluster.a.upstream_rq_${name}`,
  ),
  ...['http.ingress', 'listener.<address>.http.ingress'].flatMap((prefix) => [
    `${prefix}.downstream_rq_2xx`,
    `${prefix}.downstream_rq_5xx`,
  ]),
];

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
  /** More listeners beside `ingress`, by name: members of their connection managers over those of `manager`. */
  readonly variants?: { readonly [listener: string]: object };
  /** More members of the bootstrap. */
  readonly more?: object;
}

export const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') },
};

/** A bootstrap with the HTTP listener `ingress` and one a variant, their access log compared line by line. */
export function http(wishes: HttpWishes): object {
  const variants = Object.entries({ ingress: {}, ...wishes.variants });
  return {
    admin: { address: loopback(0) },
    static_resources: {
      listeners: variants.map(([name, manager]) => ({
        name,
        address: loopback(0),
        filter_chains: [{ filters: [httpManager(name, wishes, manager)] }],
        ...wishes.listener,
      })),
      clusters: Object.entries(wishes.clusters).map(([name, cluster]) => clusterOf(name, cluster)),
    },
    ...wishes.more,
  };
}

export const loopback = (port: number | string): object => ({
  socket_address: { address: '127.0.0.1', port_value: port },
});

/** A file access log that suites compare; `format` is its `log_format`. */
export const accessLog = (format: object = { json_format: LOG_FORMAT }, more: object = {}): object => ({
  name: 'envoy.access_loggers.file',
  typed_config: {
    '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
    path: '{{folder}}/access.log',
    log_format: format,
  },
  ...more,
});

/** An HTTP connection manager as a network filter. */
export function httpManager(
  name: string,
  wishes: Pick<HttpWishes, 'routes' | 'filters' | 'manager'>,
  more = {},
): object {
  const routes = Array.isArray(wishes.routes)
    ? { virtual_hosts: [{ name: 'all', domains: ['*'], routes: wishes.routes }] }
    : wishes.routes;
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': typeUrl('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: name,
      // Connections that the proxy ends end soon, so that a case sees it.
      delayed_close_timeout: '0.03s',
      access_log: [accessLog()],
      route_config: { name: 'routes', ...routes },
      http_filters: [...(wishes.filters ?? []), ROUTER],
      ...wishes.manager,
      ...more,
    },
  };
}

/** The options of a cluster's HTTP side. */
export const httpOptions = (common: object, explicit: object = { http_protocol_options: {} }): object => ({
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
      common_http_protocol_options: common,
      explicit_http_config: explicit,
    },
  },
});

/** A STATIC cluster of upstreams, or what the wish says. */
export function clusterOf(name: string, cluster: HttpWishes['clusters'][string]): object {
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
            endpoint: { address: loopback(`{{${upstream}}}`) },
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
