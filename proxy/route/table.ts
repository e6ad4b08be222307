/**
 * A route configuration, compiled: virtual hosts by domain in Envoy's order (exact, longest suffix wildcard, longest
 * prefix wildcard, `*`), routes in theirs. A virtual host's routes are compiled when it is first asked for: a mesh has
 * thousands, and a sidecar talks to ten.
 */
import type { Route, RouteConfiguration, VirtualHost } from '../../xds-client/model/route.ts';
import type { TlsInfo } from '../http/connection-info.ts';
import type { RequestHead } from '../http/headers.ts';
import { HeaderTest } from './header-match.ts';
import { RouteTest, type Shares, withoutQuery } from './match.ts';

/** A matched route with where it came from. One object a route, made at compile time: matching allocates nothing. */
export class RouteDecision {
  readonly config: RouteConfiguration;
  readonly virtualHost: VirtualHost;
  readonly route: Route;
  readonly test: RouteTest;

  constructor(config: RouteConfiguration, virtualHost: VirtualHost, route: Route, shares?: Shares) {
    this.config = config;
    this.virtualHost = virtualHost;
    this.route = route;
    this.test = new RouteTest(route.match, shares);
  }
}

/** Why a route before the chosen one was passed over. */
export interface PassedRoute {
  readonly index: number;
  readonly name: string;
  readonly reason: string;
}

export interface Explanation {
  /** `undefined`: no domain matches the host. */
  readonly virtualHost: VirtualHost | undefined;
  readonly passed: readonly PassedRoute[];
  readonly decision: RouteDecision | undefined;
}

class CompiledHost {
  readonly virtualHost: VirtualHost;
  private readonly config: RouteConfiguration;
  private readonly shares: Shares | undefined;
  private compiled: readonly RouteDecision[] | undefined = undefined;
  private clusters: readonly { readonly name: string; readonly tests: readonly HeaderTest[] }[] | undefined = undefined;
  private toHttps: RouteDecision | undefined = undefined;

  constructor(config: RouteConfiguration, virtualHost: VirtualHost, shares: Shares | undefined) {
    this.shares = shares;
    this.config = config;
    this.virtualHost = virtualHost;
  }

  get routes(): readonly RouteDecision[] {
    this.compiled ??= this.virtualHost.routes.map(
      (route) => new RouteDecision(this.config, this.virtualHost, route, this.shares),
    );
    return this.compiled;
  }

  get httpsRedirect(): RouteDecision {
    this.toHttps ??= new RouteDecision(this.config, this.virtualHost, HTTPS_REDIRECT);
    return this.toHttps;
  }

  virtualCluster(head: RequestHead): string | undefined {
    this.clusters ??= this.virtualHost.virtualClusters.map(({ name, headers }) => ({
      name,
      tests: headers.map((header) => new HeaderTest(header)),
    }));
    for (const { name, tests } of this.clusters) if (allMatch(tests, head)) return name;
    return this.clusters.length === 0 ? undefined : OTHER_VIRTUAL_CLUSTER;
  }
}

/** What a request is counted under that none of its virtual host's virtual clusters takes. */
export const OTHER_VIRTUAL_CLUSTER = 'other';

function allMatch(tests: readonly HeaderTest[], head: RequestHead): boolean {
  for (const test of tests) if (!test.matchesRequest(head)) return false;
  return true;
}

/** What `require_tls` answers a request in clear text with. */
const HTTPS_REDIRECT: Route = {
  name: '',
  match: {
    path: { kind: 'prefix', value: '/', ignoreCase: false },
    headers: [],
    queryParameters: [],
    grpc: false,
    fraction: undefined,
    tls: undefined,
  },
  action: {
    kind: 'redirect',
    scheme: undefined,
    httpsRedirect: true,
    host: undefined,
    port: undefined,
    path: undefined,
    prefixRewrite: undefined,
    regexRewrite: undefined,
    status: 301,
    stripQuery: false,
  },
  headers: { requestAdd: [], requestRemove: [], responseAdd: [], responseRemove: [] },
  metadata: {},
  decorator: undefined,
  perFilterConfig: {},
  statPrefix: undefined,
  perRequestBufferLimitBytes: undefined,
};

type ByText = Map<string, CompiledHost>;

export class RouteTable {
  readonly config: RouteConfiguration;
  private readonly exact: ByText = new Map();
  /** By the length of what follows or precedes the `*`, longest first. */
  private readonly suffixes: readonly [number, ByText][];
  private readonly prefixes: readonly [number, ByText][];
  private fallback: CompiledHost | undefined = undefined;

  constructor(config: RouteConfiguration, shares?: Shares) {
    this.config = config;
    const suffixes = new Map<number, ByText>();
    const prefixes = new Map<number, ByText>();
    for (const virtualHost of config.virtualHosts) {
      const host = new CompiledHost(config, virtualHost, shares);
      for (const written of virtualHost.domains) {
        const domain = written.toLowerCase();
        if (domain === '*') this.fallback ??= host;
        else if (domain.startsWith('*')) insert(suffixes, domain.slice(1), host);
        else if (domain.endsWith('*')) insert(prefixes, domain.slice(0, -1), host);
        else if (!this.exact.has(domain)) this.exact.set(domain, host);
      }
    }
    this.suffixes = [...suffixes].sort((a, b) => b[0] - a[0]);
    this.prefixes = [...prefixes].sort((a, b) => b[0] - a[0]);
  }

  /** The route of a request, or `undefined`. `random` is in [0, 1), the same for every use in one request. */
  match(head: RequestHead, tls: TlsInfo | undefined, random: number): RouteDecision | undefined {
    const host = this.findHost(head.authority);
    if (host === undefined) return undefined;
    if (needsHttps(host.virtualHost, head)) return host.httpsRedirect;
    const path = withoutQuery(head.path);
    const { routes } = host;
    for (let i = 0; i < routes.length; i++) {
      const decision = routes[i] as RouteDecision;
      if (decision.test.matches(head, path, tls, random)) return decision;
    }
    return undefined;
  }

  /** The virtual host of an authority, whether or not a route of it matches. */
  virtualHost(authority: string): VirtualHost | undefined {
    return this.findHost(authority)?.virtualHost;
  }

  /** The name of the request's virtual cluster: `OTHER_VIRTUAL_CLUSTER` when there are some and none matches. */
  virtualCluster(head: RequestHead): string | undefined {
    return this.findHost(head.authority)?.virtualCluster(head);
  }

  /** What `match` would say, with why each route before was passed over. For people: it is slow. */
  explain(head: RequestHead, tls: TlsInfo | undefined, random: number): Explanation {
    const host = this.findHost(head.authority);
    const passed: PassedRoute[] = [];
    if (host === undefined) return { virtualHost: undefined, passed, decision: undefined };
    const { virtualHost } = host;
    if (needsHttps(virtualHost, head)) return { virtualHost, passed, decision: host.httpsRedirect };
    const path = withoutQuery(head.path);
    for (const [index, decision] of host.routes.entries()) {
      const reason = decision.test.explain(head, path, tls, random);
      if (reason === undefined) return { virtualHost, passed, decision };
      passed.push({ index, name: decision.route.name, reason });
    }
    return { virtualHost, passed, decision: undefined };
  }

  private findHost(authority: string): CompiledHost | undefined {
    if (this.exact.size === 0 && this.suffixes.length === 0 && this.prefixes.length === 0) return this.fallback;
    let host = isLower(authority) ? authority : authority.toLowerCase();
    if (this.config.ignorePortInHostMatching) host = withoutPort(host);
    const exact = this.exact.get(host);
    if (exact !== undefined) return exact;
    for (const [length, hosts] of this.suffixes) {
      if (length >= host.length) continue;
      const found = hosts.get(host.slice(host.length - length));
      if (found !== undefined) return found;
    }
    for (const [length, hosts] of this.prefixes) {
      if (length >= host.length) continue;
      const found = hosts.get(host.slice(0, length));
      if (found !== undefined) return found;
    }
    return this.fallback;
  }
}

/** Compiles a route configuration; virtual hosts and patterns are compiled at their first use. */
export function compileRoutes(config: RouteConfiguration, shares?: Shares): RouteTable {
  return new RouteTable(config, shares);
}

function insert(into: Map<number, ByText>, text: string, host: CompiledHost): void {
  let hosts = into.get(text.length);
  if (hosts === undefined) {
    hosts = new Map();
    into.set(text.length, hosts);
  }
  if (!hosts.has(text)) hosts.set(text, host);
}

function needsHttps(virtualHost: VirtualHost, head: RequestHead): boolean {
  if (virtualHost.requireTls === 'none' || head.scheme === 'https') return false;
  return virtualHost.requireTls === 'all' || head.headers.get('x-envoy-internal') !== 'true';
}

function isLower(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 65 && code <= 90) return false;
  }
  return true;
}

/** Where `:port` begins, or -1; an IPv6 address keeps its colons. */
export function portStart(authority: string): number {
  const colon = authority.lastIndexOf(':');
  if (colon < 0 || authority.indexOf(']', colon) >= 0) return -1;
  for (let i = colon + 1; i < authority.length; i++) {
    const code = authority.charCodeAt(i);
    if (code < 48 || code > 57) return -1;
  }
  return colon;
}

function withoutPort(authority: string): string {
  const colon = portStart(authority);
  return colon < 0 ? authority : authority.slice(0, colon);
}
