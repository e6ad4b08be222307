/** The server side of TLS: towards downstreams. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { DownstreamTls } from '../../xds-client/model/tls.ts';
import type { TlsInfo } from '../http/connection-info.ts';
import { Assembly, type Handshake, type TlsEnvironment } from './assembly.ts';
import type { DownstreamTlsContext, TlsRefusal } from './contract.ts';
import { NO_IDENTITY, serverNameOf, tlsInfo } from './peer.ts';
import { serverVerdict } from './verdict.ts';

const NOT_READY: TlsRefusal = { stat: 'fail_verify_error', message: 'TLS_error: Secret is not supplied by SDS' };
const NO_SNI: TlsRefusal = { stat: 'connection_error', message: 'TLS_error: SNI is required and was not sent' };

export class DownstreamContext implements DownstreamTlsContext {
  readonly #config: DownstreamTls;
  readonly #assembly: Assembly;
  readonly #begun = new WeakMap<TLSSocket, Handshake>();

  constructor(config: DownstreamTls, environment: TlsEnvironment) {
    this.#config = config;
    this.#assembly = new Assembly(
      config.common,
      {
        sessionTickets: config.sessionTickets,
        sessionTimeoutMs: config.sessionTimeoutMs,
        allowRenegotiation: false,
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

  accept(socket: Socket, offeredAlpn?: readonly string[]): TLSSocket {
    const current = this.#assembly.current();
    if (current === undefined) throw new Error(NOT_READY.message);
    const { requireClientCertificate, common } = this.#config;
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: current.secureContext,
      requestCert: requireClientCertificate || common.validation !== undefined,
      // on this side it means: no certificate ends the handshake. Chains are judged by `verify`
      rejectUnauthorized: requireClientCertificate,
      ...(negotiates(common.alpnProtocols, offeredAlpn) ? { ALPNProtocols: [...common.alpnProtocols] } : {}),
    });
    this.#begun.set(secured, { assembled: current, certificate: undefined });
    return secured;
  }

  verify(socket: TLSSocket): TlsRefusal | undefined {
    const begun = this.#begun.get(socket);
    if (begun === undefined) return NOT_READY;
    if (this.#config.requireSni && serverNameOf(socket) === undefined) return NO_SNI;
    begun.certificate = socket.getPeerX509Certificate();
    return begun.assembled.validator.check({
      certificate: begun.certificate,
      verdict: () => serverVerdict(socket),
      resumed: socket.isSessionReused(),
      expectedSan: undefined,
      certificateRequired: this.#config.requireClientCertificate,
    });
  }

  info(socket: TLSSocket): TlsInfo {
    const begun = this.#begun.get(socket);
    if (begun === undefined) return tlsInfo(socket, undefined, false, NO_IDENTITY);
    return tlsInfo(socket, begun.certificate, begun.assembled.validator.validates, begun.assembled.local);
  }
}

/** Envoy goes on without ALPN when there is nothing in common; OpenSSL under Node would end the handshake. */
function negotiates(ours: readonly string[], offered: readonly string[] | undefined): boolean {
  if (ours.length === 0) return false;
  return offered === undefined || ours.some((protocol) => offered.includes(protocol));
}
