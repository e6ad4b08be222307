/** The client side of TLS: towards upstreams. */
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { UpstreamTls } from '../../xds-client/model/tls.ts';
import type { TlsInfo } from '../http/connection-info.ts';
import { Assembly, type Handshake, type TlsEnvironment } from './assembly.ts';
import type { TlsRefusal, UpstreamTlsContext } from './contract.ts';
import { KeyLogger } from './key-log.ts';
import { knownCertificate } from './known-certificates.ts';
import { HandshakeTerms } from './life-terms.ts';
import type { Life, Mortal } from './lives.ts';
import { NO_IDENTITY, serverNameOf, tlsInfo } from './peer.ts';
import { type KeptSession, SessionCache } from './session-cache.ts';
import { opensslVerdict } from './verdict.ts';

const NOT_READY: TlsRefusal = { stat: 'fail_verify_error', message: 'TLS_error: Secret is not supplied by SDS' };

const notRead = (): object => ({});

interface UpstreamHandshake extends Handshake {
  readonly resumes: KeptSession | undefined;
}

export class UpstreamContext implements UpstreamTlsContext {
  readonly #config: UpstreamTls;
  readonly #environment: TlsEnvironment;
  readonly #assembly: Assembly;
  readonly #sessions: SessionCache;
  readonly #begun = new WeakMap<TLSSocket, UpstreamHandshake>();
  readonly #unannounced = new WeakMap<TLSSocket, UpstreamHandshake>();
  readonly #keyLog: KeyLogger | undefined;
  #offered: UpstreamHandshake | undefined;

  constructor(config: UpstreamTls, environment: TlsEnvironment) {
    this.#config = config;
    this.#environment = environment;
    const { keyLog } = config.common;
    this.#keyLog = keyLog === undefined ? undefined : new KeyLogger(keyLog, environment.onError);
    this.#assembly = new Assembly(
      config.common,
      {
        sessionTickets: true,
        sessionIds: false,
        sessionTimeoutMs: undefined,
        allowRenegotiation: config.allowRenegotiation,
        peer: {
          role: 'server',
          enforceRsaKeyUsage: config.enforceRsaKeyUsage,
          expectedSanAlone: config.autoSniSanValidation,
        },
        // Envoy's default for clients: TLS 1.3 is asked for with tls_maximum_protocol_version
        maxVersion: 'TLSv1.2',
      },
      environment,
    );
    this.#sessions = new SessionCache(config.maxSessionKeys);
  }

  get ready(): boolean {
    return this.#assembly.current() !== undefined;
  }

  get generation(): number {
    return this.#assembly.current()?.generation ?? 0;
  }

  get trustGeneration(): number {
    return this.#assembly.current()?.trustGeneration ?? 0;
  }

  connectOptions(sni: string | undefined, alpnOverride: readonly string[] | undefined): ConnectionOptions {
    const current = this.#assembly.current();
    if (current === undefined) throw new Error(NOT_READY.message);
    const servername = sni ?? this.#config.sni ?? '';
    const alpn = alpnOverride ?? this.#config.common.alpnProtocols;
    const kept = this.#sessions.take(current.generation, servername);
    this.#offered = { assembled: current, certificate: undefined, resumes: kept };
    return {
      secureContext: current.secureContext,
      // an empty name sends none; without this member Node would send the address's host name
      servername,
      rejectUnauthorized: false,
      // names are checked by `verify`, against what the configuration says
      checkServerIdentity: () => undefined,
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      ...(kept === undefined ? {} : { session: kept.session }),
    };
  }

  started(socket: TLSSocket): void {
    // Node makes an object of the whole chain for `checkServerIdentity`, which does not look at it: a tenth of a handshake
    Reflect.set(socket, 'getPeerCertificate', notRead);
    this.#keyLog?.watch(socket);
    if (this.#offered !== undefined) this.#begun.set(socket, this.#offered);
    this.#offered = undefined;
  }

  verify(socket: TLSSocket, expectedSan: string | undefined): TlsRefusal | undefined {
    const handshake = this.#handshake(socket);
    if (handshake === undefined) return NOT_READY;
    const { validator } = handshake.assembled;
    const resumed = socket.isSessionReused();
    handshake.certificate = resumed
      ? handshake.resumes?.certificate
      : knownCertificate(socket.getPeerX509Certificate());
    const refusal = validator.check({
      certificate: handshake.certificate,
      verdict: () => opensslVerdict(socket),
      resumed,
      expectedSan,
      certificateRequired: validator.validates,
      tolerated: (fault) => {
        handshake.tolerated = fault;
      },
    });
    if (refusal === undefined) this.#remember(socket, handshake);
    return refusal;
  }

  info(socket: TLSSocket): TlsInfo {
    const handshake = this.#handshake(socket);
    if (handshake === undefined) return tlsInfo(socket, undefined, NO_IDENTITY);
    return tlsInfo(socket, handshake, handshake.assembled.local);
  }

  admit(socket: TLSSocket, connection: Mortal, expectedSan: string | undefined): Life | undefined {
    const handshake = this.#handshake(socket);
    const { lives, now } = this.#environment;
    if (handshake === undefined || lives === undefined) return undefined;
    const terms = new HandshakeTerms({
      handshake,
      ownEndsAt: handshake.assembled.certificates[0]?.endsAt,
      first: true,
      current: () => this.#assembly.current(),
      expectedSan,
      certificateRequired: handshake.assembled.validator.validates,
      now,
    });
    return lives.admit(connection, terms);
  }

  /** Only sessions of peers that were let in are kept: the next connection resumes what this one proved. */
  #remember(socket: TLSSocket, handshake: UpstreamHandshake): void {
    // a socket that `started` was not told of could not be given its certificate back
    if (this.#config.maxSessionKeys === 0 || !this.#begun.has(socket)) return;
    const { certificate } = handshake;
    const { generation } = handshake.assembled;
    const name = serverNameOf(socket) ?? '';
    // TLS 1.2 has its session by now; in TLS 1.3 tickets follow
    if (socket.getProtocol() !== 'TLSv1.3') {
      const session = socket.getSession();
      if (session !== undefined) this.#sessions.put(generation, name, { session, singleUse: false, certificate });
    } else {
      socket.on('session', (session) =>
        this.#sessions.put(generation, name, { session, singleUse: true, certificate }),
      );
    }
  }

  #handshake(socket: TLSSocket): UpstreamHandshake | undefined {
    const begun = this.#begun.get(socket) ?? this.#unannounced.get(socket);
    if (begun !== undefined) return begun;
    const assembled = this.#assembly.current();
    if (assembled === undefined) return undefined;
    const handshake = { assembled, certificate: undefined, resumes: undefined };
    this.#unannounced.set(socket, handshake);
    return handshake;
  }
}
