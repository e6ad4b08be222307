/** The server side of TLS: towards downstreams. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { DownstreamTls } from '../../xds-client/model/tls.ts';
import type { TlsInfo } from '../http/connection-info.ts';
import { type Assembled, Assembly, type Handshake, type TlsEnvironment } from './assembly.ts';
import { CertificateChoice, type ServedCertificate, type StapleOutcome } from './certificate-choice.ts';
import { resumesById } from './client-capabilities.ts';
import type { ClientHello, DownstreamTlsContext, StapleCounter, TlsRefusal } from './contract.ts';
import { KeyLogger } from './key-log.ts';
import { knownCertificate } from './known-certificates.ts';
import { HandshakeTerms } from './life-terms.ts';
import type { Life, Mortal } from './lives.ts';
import { NO_IDENTITY, serverNameOf, tlsInfo } from './peer.ts';
import { opensslVerdict } from './verdict.ts';

const NOT_READY: TlsRefusal = { stat: 'fail_verify_error', message: 'TLS_error: Secret is not supplied by SDS' };
const NO_STAPLE: TlsRefusal = {
  stat: 'connection_error',
  message: 'TLS_error: an OCSP staple is due and there is none',
};
const NO_SNI: TlsRefusal = { stat: 'connection_error', message: 'TLS_error: SNI is required and was not sent' };

interface DownstreamHandshake extends Handshake {
  readonly shown: ServedCertificate | undefined;
}

export class DownstreamContext implements DownstreamTlsContext {
  readonly #config: DownstreamTls;
  readonly #environment: TlsEnvironment;
  readonly #assembly: Assembly;
  readonly #begun = new WeakMap<TLSSocket, DownstreamHandshake>();
  readonly #keyLog: KeyLogger | undefined;
  #choiceOf: Assembled | undefined;
  #choice: CertificateChoice | undefined;

  constructor(config: DownstreamTls, environment: TlsEnvironment) {
    this.#config = config;
    this.#environment = environment;
    const { keyLog } = config.common;
    this.#keyLog = keyLog === undefined ? undefined : new KeyLogger(keyLog, environment.onError);
    this.#assembly = new Assembly(
      config.common,
      {
        sessionTickets: config.sessionTickets,
        sessionTimeoutMs: config.sessionTimeoutMs,
        sessionIds: config.sessionIds,
        allowRenegotiation: false,
        peer: { role: 'client', enforceRsaKeyUsage: true },
        maxVersion: 'TLSv1.3',
      },
      environment,
    );
  }

  get ready(): boolean {
    return this.#assembly.current() !== undefined;
  }

  get generation(): number {
    return this.#assembly.current()?.generation ?? 0;
  }

  accept(socket: Socket, hello?: ClientHello, counter?: StapleCounter): TLSSocket | TlsRefusal {
    const current = this.#assembly.current();
    if (current === undefined) return NOT_READY;
    const { requireClientCertificate, common } = this.#config;
    const chosen = this.#choiceFor(current)?.choose(hello);
    if (chosen?.staple !== undefined) counter?.staple(chosen.staple);
    if (chosen?.staple === 'refused') return NO_STAPLE;
    const shown = chosen?.certificate;
    const hooks = this.#hooked(chosen?.staple, hello) ? shown?.hooks() : undefined;
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: shown?.secureContext ?? current.secureContext,
      requestCert: requireClientCertificate || common.validation !== undefined,
      // on this side it means: no certificate ends the handshake. Chains are judged by `verify`
      rejectUnauthorized: requireClientCertificate,
      ...(negotiates(common.alpnProtocols, hello?.alpn) ? { ALPNProtocols: [...common.alpnProtocols] } : {}),
      ...(hooks === undefined ? {} : { server: hooks }),
    });
    this.#keyLog?.watch(secured);
    this.#begun.set(secured, { assembled: current, certificate: undefined, shown });
    return secured;
  }

  verify(socket: TLSSocket): TlsRefusal | undefined {
    const begun = this.#begun.get(socket);
    if (begun === undefined) return NOT_READY;
    if (this.#config.requireSni && serverNameOf(socket) === undefined) return NO_SNI;
    begun.certificate = knownCertificate(socket.getPeerX509Certificate());
    return begun.assembled.validator.check({
      certificate: begun.certificate,
      verdict: () => opensslVerdict(socket),
      resumed: socket.isSessionReused(),
      expectedSan: undefined,
      certificateRequired: this.#config.requireClientCertificate,
      tolerated: (fault) => {
        begun.tolerated = fault;
      },
    });
  }

  info(socket: TLSSocket): TlsInfo {
    const begun = this.#begun.get(socket);
    if (begun === undefined) return tlsInfo(socket, undefined, NO_IDENTITY);
    return tlsInfo(socket, begun, begun.shown?.local ?? NO_IDENTITY);
  }

  /** Hooks cost a handshake a turn, so only those have them that need them. */
  #hooked(staple: StapleOutcome, hello: ClientHello | undefined): boolean {
    const { sessionTickets, sessionIds } = this.#config;
    if (staple === 'stapled' || (sessionIds && !sessionTickets)) return true;
    // where nobody looked at the hello, Node finds out whether a staple is asked for
    if (hello === undefined)
      return this.#assembly.current()?.certificates.some((one) => one.staple !== undefined) === true;
    return sessionIds && resumesById(hello, this.#upToTls13);
  }

  get #upToTls13(): boolean {
    return this.#assembly.maxVersion === 'TLSv1.3';
  }

  #choiceFor(current: Assembled): CertificateChoice | undefined {
    if (this.#choiceOf === current) return this.#choice;
    const [first, ...others] = current.certificates;
    const { ocspStaplePolicy, anyCertificateForUnknownNames } = this.#config;
    this.#choiceOf = current;
    this.#choice =
      first === undefined
        ? undefined
        : new CertificateChoice([first, ...others], {
            policy: ocspStaplePolicy,
            anyForUnknownNames: anyCertificateForUnknownNames,
            upToTls13: this.#upToTls13,
            now: this.#environment.now,
          });
    return this.#choice;
  }

  admit(socket: TLSSocket, connection: Mortal): Life | undefined {
    const handshake = this.#begun.get(socket);
    const { lives, now } = this.#environment;
    if (handshake === undefined || lives === undefined) return undefined;
    const terms = new HandshakeTerms({
      handshake,
      ownEndsAt: handshake.shown?.endsAt,
      first: false,
      current: () => this.#assembly.current(),
      expectedSan: undefined,
      certificateRequired: this.#config.requireClientCertificate,
      now,
    });
    return lives.admit(connection, terms);
  }
}

/** Envoy goes on without ALPN when there is nothing in common; OpenSSL under Node would end the handshake. */
function negotiates(ours: readonly string[], offered: readonly string[] | undefined): boolean {
  if (ours.length === 0) return false;
  return offered === undefined || ours.some((protocol) => offered.includes(protocol));
}
