/**
 * What Node gives the server side of TLS through events of a `tls.Server` alone: OCSP staples and sessions by their id. The
 * server is never listened on; a certificate that needs neither has none, because its hooks cost each handshake a turn.
 */
import { createServer, type Server } from 'node:tls';
import type { CertificateMaterial } from '../../certs/material.ts';
import { isValid, type Staple } from '../../certs/staple.ts';

export interface HookWishes {
  readonly staple: Staple | undefined;
  /** Sessions by their id are kept (TLS 1.2 without tickets). */
  readonly sessionIds: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Sessions a certificate keeps; a session is about 1 KiB. */
const MAX_SESSIONS = 1_024;

/** `undefined` when nothing is wished. */
export function sessionHooks(certificate: CertificateMaterial, wishes: HookWishes): Server | undefined {
  const { staple, sessionIds, now } = wishes;
  if (staple === undefined && !sessionIds) return undefined;
  // Node asks the server's own context for the certificate that the staple is for
  const server = createServer({ cert: certificate.chain, key: certificate.key, passphrase: certificate.password });
  if (staple !== undefined) {
    server.on('OCSPRequest', (_certificate, _issuer, answer) =>
      answer(null, isValid(staple, now()) ? staple.der : null),
    );
  }
  if (!sessionIds) return server;
  const sessions = new Map<string, Buffer>();
  server.on('newSession', (id: Buffer, session: Buffer, kept: () => void) => {
    if (isTls13(session)) {
      kept();
      return;
    }
    if (sessions.size >= MAX_SESSIONS) sessions.delete(sessions.keys().next().value ?? '');
    sessions.set(id.toString('latin1'), session);
    kept();
  });
  server.on('resumeSession', (id: Buffer, answer: (error: Error | null, session: Buffer | null) => void) => {
    answer(null, sessions.get(id.toString('latin1')) ?? null);
  });
  return server;
}

/** A session in DER begins with its own version, 1, and the protocol's. TLS 1.3 resumes by ticket or not at all, as in Envoy. */
function isTls13(session: Buffer): boolean {
  return session.subarray(0, MAX_HEADER).includes(TLS13_SESSION);
}

const TLS13_SESSION = Buffer.from([2, 1, 1, 2, 2, 3, 4]);
/** The outer sequence's tag and length come before. */
const MAX_HEADER = 4 + TLS13_SESSION.length;
