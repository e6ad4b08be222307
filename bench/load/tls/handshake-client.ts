/**
 * Opens mTLS connections as fast as they come, one request each: the load of the handshake rows. Runs as a process of its own,
 * pinned to the load's core; its wish is JSON in BENCH_LOAD, its figures are JSON on stdout.
 */
import { readFileSync } from 'node:fs';
import { stdout } from 'node:process';
import { connect, createSecureContext } from 'node:tls';

export interface HandshakeLoad {
  readonly port: number;
  /** Connections under way at a time. */
  readonly connections: number;
  readonly seconds: number;
  /** Come back with the session of the connection before. */
  readonly resume: boolean;
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
}

const REQUEST = 'GET /100 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n';
const wish = JSON.parse(process.env.BENCH_LOAD ?? '') as HandshakeLoad;
const secureContext = createSecureContext({
  ca: readFileSync(wish.tls.ca),
  cert: readFileSync(wish.tls.cert),
  key: readFileSync(wish.tls.key),
  minVersion: 'TLSv1.3',
  ecdhCurve: 'X25519:P-256',
});
const startedAt = performance.now();
const until = startedAt + wish.seconds * 1_000;
let requests = 0;
let failed = 0;
let why: string | undefined;

/** One after the other until the time is over. */
function chain(): Promise<void> {
  return new Promise((done) => {
    let session: Buffer | undefined;
    const next = (): void => {
      if (performance.now() >= until) done();
      else open();
    };
    const open = (): void => {
      let answer = '';
      let fault: string | undefined;
      const socket = connect({
        port: wish.port,
        host: '127.0.0.1',
        secureContext,
        servername: 'bench.test',
        ...(session === undefined ? {} : { session }),
      });
      if (wish.resume) {
        socket.on('session', (made) => {
          session = made;
        });
      }
      const resumed = session !== undefined;
      socket.on('secureConnect', () => {
        if (resumed && !socket.isSessionReused()) fault = 'a session was not taken';
        socket.write(REQUEST);
      });
      socket.on('data', (chunk) => {
        if (answer.length < 15) answer += chunk.toString('latin1');
      });
      socket.on('error', (error) => {
        fault = error.message;
      });
      socket.on('close', () => {
        if (!answer.startsWith('HTTP/1.1 200')) fault ??= `the answer was "${answer.slice(0, 15)}"`;
        if (fault === undefined) requests++;
        else {
          failed++;
          why ??= fault;
        }
        next();
      });
    };
    open();
  });
}

await Promise.all(Array.from({ length: wish.connections }, chain));
const seconds = (performance.now() - startedAt) / 1_000;
stdout.write(JSON.stringify({ requests, failed, perSecond: requests / seconds, why }));
