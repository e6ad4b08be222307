/** Which statistics are compared. */
import type { Part } from './compare.ts';

/** Families that both proxies must count alike. */
const COMPARED = /^(cluster|http|listener|vhost|tcp)\./;

/**
 * Left out, each for its reason: byte counts (the `server` field differs in length), times, the admin listener, names by
 * worker, figures of Envoy's own machinery (load-report match counts, per-connection buffers), address texts that hold a port, Tollway's own counts
 * of plaintext and TLS, and of connections that end with their certificates.
 */
const LEFT_OUT =
  /_bytes_|bytes_|_ms$|_time$|^(http|listener)\.admin\.|\.worker_\d+\.|\.default\.total_match_count$|\.external\.|\.internal\.|lb_subsets|max_host_weight|warming_state|assignment_|\.version$|circuit_breakers\..*remaining|_length|cx_active$|downstream_cx_destroy|upstream_cx_destroy|upstream_cx_active|http[12]_active|downstream_cx_(mtls|plaintext|tls)$|ssl\.connection_(cut|distrusted|expired)$/;

/**
 * Differs on purpose, wherever a proxy ends a connection: Envoy keeps its side open until `delayed_close_timeout` is
 * over, and counts that; Tollway ends its side at once, waits for the client to do the same (RFC 9112 §9.6), and counts
 * only the clients that are too slow.
 */
export const endsAtOnce = ({ path, envoy, tollway }: Part): boolean =>
  path.endsWith('.downstream_cx_delayed_close_timeout') && Number(tollway) < Number(envoy);

/** Compared counters and gauges that are not zero, from the text of `/stats`. */
export function comparableStats(text: string): { readonly [name: string]: number } {
  const found: { [name: string]: number } = {};
  for (const line of text.split('\n')) {
    const match = /^(\S+): (\d+)$/.exec(line);
    if (match === null) continue;
    const [, name, value] = match as unknown as readonly [string, string, string];
    const general = name.replace(/^listener\.[^.]+\.\d+\.\d+\.[^.]+\./, 'listener.<address>.');
    if (COMPARED.test(name) && !LEFT_OUT.test(name) && value !== '0')
      found[general] = (found[general] ?? 0) + Number(value);
  }
  return found;
}
