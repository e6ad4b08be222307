/**
 * Envoy's tag extraction: parts of a statistic's name become Prometheus labels. The order of the rules is the order of
 * the labels.
 */

export interface TagRule {
  /** Label name, `envoy_cluster_name`. */
  readonly label: string;
  /** Group 1 is cut out of the name, group 2 is the value. */
  readonly pattern: RegExp;
}

export interface Tagged {
  /** The name without what became labels. */
  readonly name: string;
  /** `a="1",b="2"`, escaped; empty when there is none. */
  readonly labels: string;
}

const rule = (label: string, pattern: RegExp): TagRule => ({ label, pattern });

/** Rules that look at the end of a name; every other rule begins with `^` and can be decided from a block's prefix. */
const SUFFIX_RULES: readonly TagRule[] = [
  rule('envoy_response_code', /_rq(_(\d{3}))$/d),
  rule('envoy_response_code_class', /_rq_((\d))xx$/d),
];

const PREFIX_RULES: readonly TagRule[] = [
  rule('envoy_grpc_bridge_method', /^cluster\.[^.]+\.grpc\.[^.]+\.(([^.]+)\.)/d),
  rule('envoy_http_user_agent', /^http\.[^.]+\.user_agent\.(([^.]+)\.)/d),
  rule('envoy_virtual_cluster', /^vhost\.[^.]+\.vcluster\.(([^.]+)\.)/d),
  rule('envoy_fault_downstream_cluster', /^http\.[^.]+\.fault\.(([^.]+)\.)/d),
  rule('envoy_tls_certificate', /^(?:listener|cluster)\..*?\.ssl\.certificate\.(([^.]+)\.)/d),
  rule('envoy_ssl_cipher', /^listener\..*?\.ssl\.ciphers(\.([^.]+))$/d),
  rule('envoy_ssl_curve', /^(?:listener|cluster)\..*?\.ssl\.curves(\.([^.]+))$/d),
  rule('envoy_ssl_sigalg', /^(?:listener|cluster)\..*?\.ssl\.sigalgs(\.([^.]+))$/d),
  rule('envoy_ssl_version', /^(?:listener|cluster)\..*?\.ssl\.versions(\.(.+))$/d),
  rule('cipher_suite', /^cluster\..*?\.ssl\.ciphers(\.([^.]+))$/d),
  rule('envoy_grpc_bridge_service', /^cluster\.[^.]+\.grpc\.(([^.]+)\.)/d),
  rule('envoy_rds_route_config', /^http\.[^.]+\.rds\.((.+?)\.)\w+$/d),
  rule('envoy_tcp_prefix', /^tcp\.(([^.]+)\.)/d),
  rule('envoy_udp_prefix', /^udp\.(([^.]+)\.)/d),
  rule('envoy_clientssl_prefix', /^auth\.clientssl\.(([^.]+)\.)/d),
  rule('envoy_ratelimit_prefix', /^ratelimit\.(([^.]+)\.)/d),
  rule('envoy_rbac_http_prefix', /^http\.[^.]+\.rbac\.((?!policy\.)([^.]+)\.)/d),
  rule('envoy_worker_id', /^(?:listener\..*?\.|server\.|thread_local_cluster_manager\.)worker(_(\d+))\./d),
  rule('envoy_http_conn_manager_prefix', /^listener\..*?\.http\.(([^.]+)\.)/d),
  rule('envoy_http_conn_manager_prefix', /^http\.(([^.]+)\.)/d),
  rule(
    'envoy_listener_address',
    /^listener\.(((?:\d+\.\d+\.\d+\.\d+|\[[\da-fA-F:_]*\])_\d+|(?!admin\.|admin$)[^.]+)\.)/d,
  ),
  rule('envoy_cluster_name', /^cluster\.(([^.]+)\.)/d),
  rule('envoy_virtual_host', /^vhost\.(([^.]+)\.)/d),
  rule('envoy_route', /^vhost\.[^.]+\.route\.(([^.]+)\.)/d),
  rule('envoy_local_http_ratelimit_prefix', /^((.+?)\.)http_local_rate_limit\./d),
  rule('envoy_local_network_ratelimit_prefix', /^local_rate_limit\.(([^.]+)\.)/d),
];

/** Takes the labels out of a whole name. */
export function extractTags(name: string, extra: readonly TagRule[] = []): Tagged {
  return extract(name, [...extra, ...SUFFIX_RULES, ...PREFIX_RULES]);
}

/** Takes the labels out of a block's prefix, once for all its names. */
export function extractPrefixTags(prefix: string, extra: readonly TagRule[] = []): Tagged {
  return extract(prefix, [...extra, ...PREFIX_RULES]);
}

/** Takes the labels out of a name below a prefix. */
export function extractSuffixTags(suffix: string): Tagged {
  return extract(suffix, SUFFIX_RULES);
}

/** `envoy_` and the name with what Prometheus does not take replaced. */
export function metricName(name: string): string {
  return `envoy_${name.replace(/[^a-zA-Z0-9_]/g, '_')}`;
}

/** Label values escape backslash, quote and newline. */
export function escapeLabel(value: string): string {
  return /[\\"\n]/.test(value) ? value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n') : value;
}

function extract(name: string, rules: readonly TagRule[]): Tagged {
  let labels = '';
  const cuts: (readonly [number, number])[] = [];
  const seen = new Set<string>();
  for (const { label, pattern } of rules) {
    const match = pattern.exec(name);
    const cut = match?.indices?.[1];
    if (match === null || cut === undefined || seen.has(label)) continue;
    seen.add(label);
    labels += `${labels === '' ? '' : ','}${label}="${escapeLabel(match[2] ?? '')}"`;
    cuts.push(cut);
  }
  if (cuts.length === 0) return { name, labels };
  cuts.sort((a, b) => a[0] - b[0]);
  let rest = '';
  let at = 0;
  for (const [from, to] of cuts) {
    if (from > at) rest += name.slice(at, from);
    at = Math.max(at, to);
  }
  return { name: rest + name.slice(at), labels };
}
