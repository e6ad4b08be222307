/**
 * TLS as listeners and pools see it, in a worker. Contexts are built once a generation of their secrets and shared by
 * every connection; a rotation replaces them for new handshakes only.
 */

import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { DownstreamTls, UpstreamTls } from '../../xds-client/model/tls.ts';
import type { TlsInfo } from '../http/connection-info.ts';
import type { Life, Mortal } from './lives.ts';

export type { Life, Mortal } from './lives.ts';

/** The worker's secrets, fed by `secret` messages; keys are `secretKey(ref)` (proxy/tls/secret-key.ts). */
export interface TlsProvider {
  upstream(config: UpstreamTls): UpstreamTlsContext;
  downstream(config: DownstreamTls): DownstreamTlsContext;
}

export interface UpstreamTlsContext {
  /** False while a secret is missing: connections fail with Envoy's words, and do not go out in plaintext. */
  readonly ready: boolean;
  /** Rises when a secret changed: pools retire connections of older generations as policy says. */
  readonly generation: number;
  /**
   * Rises when trust changed and not when only our own certificate did: pooled connections of an older one carry no new
   * request. `undefined`: `generation` is taken for it.
   */
  readonly trustGeneration?: number;
  /**
   * Options for `tls.connect` (secure context, servername, ALPN, session for resumption, `rejectUnauthorized: false`
   * because `verify` decides). `sni`: from auto_sni or the configuration. `alpnOverride`: `undefined` uses the configuration's.
   */
  connectOptions(sni: string | undefined, alpnOverride: readonly string[] | undefined): ConnectionOptions;
  /**
   * Right after `tls.connect(connectOptions(...))`, in the same turn: binds the socket to the generation of its options,
   * so that a rotation during the handshake does not judge it by other trust. Sessions are kept of such sockets only.
   */
  started?(socket: TLSSocket): void;
  /**
   * After `secureConnect`, before the first byte: chain (OpenSSL's word), SANs, pins. `undefined` when all is well, otherwise
   * the reason, for `ssl.fail_verify_*` and UPSTREAM_TRANSPORT_FAILURE_REASON. `expectedSan`: from auto_san_validation.
   */
  verify(socket: TLSSocket, expectedSan: string | undefined): TlsRefusal | undefined;
  info(socket: TLSSocket): TlsInfo;
  /**
   * After `verify` has let it in: bounds the connection's life by the certificates it was opened with and the trust in
   * its peer. `undefined`: nobody bounds it.
   */
  admit?(socket: TLSSocket, connection: Mortal, expectedSan: string | undefined): Life | undefined;
}

/** What a caller's first message says, when it was inspected (RFC 8446 §4.1.2). */
export interface ClientHello {
  /** Lower case; empty when none was sent. */
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** Two bytes each, in the caller's order. */
  readonly cipherSuites: Buffer;
  /** The body of an extension by its number, `undefined` when it was not sent. */
  extension(type: number): Buffer | undefined;
}

export interface StapleCounter {
  staple(outcome: 'stapled' | 'omitted' | 'refused'): void;
}

export interface TlsRefusal {
  /** The statistic below `ssl.`: `fail_verify_error`, `fail_verify_san`, `fail_verify_no_cert`, `fail_verify_cert_hash`. */
  readonly stat: string;
  readonly message: string;
}

export interface DownstreamTlsContext {
  readonly ready: boolean;
  readonly generation: number;
  /**
   * Starts the server side on an accepted socket that may hold unread bytes. The caller waits for `secure` or an error.
   * `hello`: when it was inspected. Without a protocol in common the handshake goes on without ALPN, and of several
   * certificates the one is shown that is for its server name and that it can verify. A refusal: there is nothing that the
   * caller may be shown. `counter` is told of the OCSP staple it asked for.
   */
  accept(socket: Socket, hello?: ClientHello, counter?: StapleCounter): TLSSocket | TlsRefusal;
  verify(socket: TLSSocket): TlsRefusal | undefined;
  info(socket: TLSSocket): TlsInfo;
  /** As `UpstreamTlsContext.admit`. */
  admit?(socket: TLSSocket, connection: Mortal): Life | undefined;
}
