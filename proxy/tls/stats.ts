/** Envoy's `ssl.` statistics of a listener or a cluster. */
import type { TLSSocket } from 'node:tls';
import type { TlsInfo } from '../http/connection-info.ts';
import type { Stat, StatBlock, StatsStore } from '../observe/stats/contract.ts';
import { family, indices } from '../observe/stats/families.ts';
import type { TlsRefusal } from './contract.ts';
import type { LifeEnd } from './lives.ts';

const COUNTERS = [
  // Tollway's own: ended because of their certificates or of a change of trust, and those of them that were cut off
  'connection_cut',
  'connection_distrusted',
  'connection_error',
  'connection_expired',
  'fail_verify_cert_hash',
  'fail_verify_error',
  'fail_verify_no_cert',
  'fail_verify_san',
  'handshake',
  'no_certificate',
  'ocsp_staple_failed',
  'ocsp_staple_omitted',
  'ocsp_staple_requests',
  'ocsp_staple_responses',
  'session_reused',
] as const;
/** Under `listener.<address>.ssl.` and `cluster.<name>.ssl.`. */
export const SSL_STATS = family(COUNTERS, []);
/** Indices in `SSL_STATS`. */
export const SSL = indices(COUNTERS);

const FACTORY_COUNTERS = [
  'downstream_context_secrets_not_ready',
  'ssl_context_update_by_sds',
  'upstream_context_secrets_not_ready',
] as const;
/** Under `listener.<address>.server_ssl_socket_factory.` and `cluster.<name>.client_ssl_socket_factory.`. */
export const SSL_FACTORY_STATS = family(FACTORY_COUNTERS, []);
/** Indices in `SSL_FACTORY_STATS`. */
export const SSL_FACTORY = indices(FACTORY_COUNTERS);

const INDEX_OF: ReadonlyMap<string, number> = new Map(COUNTERS.map((name, index) => [name, index]));
const NO_CERTIFICATE_CODE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE';

/** Counts handshakes below one prefix. */
export class SslStats {
  readonly #prefix: string;
  readonly #store: StatsStore;
  readonly #block: StatBlock;
  readonly #named = new Map<string, Stat>();

  /** `prefix` ends with `ssl.`: `listener.127.0.0.1_10000.ssl.`. */
  constructor(prefix: string, store: StatsStore) {
    this.#prefix = prefix;
    this.#store = store;
    this.#block = store.block(prefix, SSL_STATS);
  }

  /** A handshake that `verify` has let in; `info` is the context's. */
  handshake(socket: TLSSocket, info: TlsInfo): void {
    const block = this.#block;
    block.inc(SSL.HANDSHAKE);
    if (info.sessionReused) block.inc(SSL.SESSION_REUSED);
    if (info.peer === undefined) block.inc(SSL.NO_CERTIFICATE);
    // let in, and counted as what it is
    if (info.tolerated !== undefined) block.inc(INDEX_OF.get(info.tolerated) ?? SSL.FAIL_VERIFY_ERROR);
    this.#count('versions', info.version);
    this.#count('ciphers', info.cipher);
    // Node knows the curve on the client's side only
    const curve: unknown = Reflect.get(socket.getEphemeralKeyInfo() ?? {}, 'name');
    if (typeof curve === 'string') this.#count('curves', curve);
  }

  /** A caller asked for an OCSP staple. */
  staple(outcome: 'stapled' | 'omitted' | 'refused'): void {
    this.#block.inc(SSL.OCSP_STAPLE_REQUESTS);
    if (outcome === 'stapled') this.#block.inc(SSL.OCSP_STAPLE_RESPONSES);
    else this.#block.inc(outcome === 'omitted' ? SSL.OCSP_STAPLE_OMITTED : SSL.OCSP_STAPLE_FAILED);
  }

  /** A handshake that `verify` has refused. */
  refused(refusal: TlsRefusal): void {
    this.#block.inc(INDEX_OF.get(refusal.stat) ?? SSL.CONNECTION_ERROR);
  }

  /** A connection has to end. */
  ended(why: LifeEnd): void {
    this.#block.inc(why === 'expired' ? SSL.CONNECTION_EXPIRED : SSL.CONNECTION_DISTRUSTED);
  }

  /** It had not when its time was over. */
  cut(): void {
    this.#block.inc(SSL.CONNECTION_CUT);
  }

  /** A handshake that OpenSSL ended. A missing certificate has a counter of its own, as in Envoy. */
  failed(error: Error): void {
    const code: unknown = Reflect.get(error, 'code');
    if (code === NO_CERTIFICATE_CODE) this.#block.inc(SSL.FAIL_VERIFY_NO_CERT);
    // a caller that hung up made no TLS error
    else if (code !== 'ECONNRESET' && code !== 'EPIPE') this.#block.inc(SSL.CONNECTION_ERROR);
  }

  release(): void {
    this.#block.release();
  }

  #count(group: string, name: string): void {
    const key = `${group}.${name}`;
    let stat = this.#named.get(key);
    if (stat === undefined) {
      stat = this.#store.counter(this.#prefix + key);
      this.#named.set(key, stat);
    }
    stat.inc();
  }
}
