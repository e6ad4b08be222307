/** What every measurement stands on: certificates, upstreams on a core of their own, free ports. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DevCa } from '../../../certs/source/dev-ca.ts';
import { type Measured, startPinned, stop } from './processes.ts';

/** The proxy under test has this core to itself; the load generator and the upstream share the other. */
export const PROXY_CORE = 0;
export const LOAD_CORE = 1;

export interface Stage {
  readonly folder: string;
  /** Plain HTTP/1.1: `/100` answers 100 bytes, `/1k`, `/16k`, `/1m`. */
  readonly plainPort: number;
  /** The same over TLS with a required client certificate. */
  readonly tlsPort: number;
  /** The same, and the connection ends after each response. */
  readonly tlsClosingPort: number;
  /** HTTP/2 by prior knowledge, and over TLS with a required client certificate: 100 bytes, or a gRPC echo. */
  readonly http2Port: number;
  readonly http2TlsPort: number;
  readonly certs: { readonly ca: string; readonly cert: string; readonly key: string };
  close(): Promise<void>;
}

const SIZES: { readonly [path: string]: number } = { '/100': 100, '/1k': 1024, '/16k': 16_384, '/1m': 1_048_576 };

export async function setStage(): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'tollway-bench-'));
  const ca = new DevCa({ now: Date.now, trustDomain: 'cluster.local' });
  const leaf = ca.issue({
    spiffeId: 'spiffe://cluster.local/ns/bench/sa/bench',
    dnsNames: ['bench.test', 'localhost'],
    ips: ['127.0.0.1'],
    ttlMs: 86_400_000,
  });
  const certs = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  writeFileSync(certs.ca, ca.rootPem);
  writeFileSync(certs.cert, leaf.chain);
  writeFileSync(certs.key, leaf.key, { mode: 0o600 });
  // HAProxy wants chain and key in one file.
  writeFileSync(join(folder, 'both.pem'), `${leaf.chain}\n${leaf.key}`, { mode: 0o600 });
  const plainPort = await freePort();
  const tlsPort = await freePort();
  const tlsClosingPort = await freePort();
  const http2Port = await freePort();
  const http2TlsPort = await freePort();
  const upstream = startUpstream(folder, { plainPort, tlsPort, tlsClosingPort }, certs);
  const { args, env } = http2Server({ http2Port, http2TlsPort, certs });
  const http2 = startPinned('http2-upstream', LOAD_CORE, process.execPath, args, env);
  await until(
    () => isUp(plainPort),
    () => upstream.output(),
  );
  await until(() => tcpOpen(http2TlsPort), http2.output);
  return {
    folder,
    plainPort,
    tlsPort,
    tlsClosingPort,
    http2Port,
    http2TlsPort,
    certs,
    close: async () => {
      await stop(upstream);
      await stop(http2);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function startUpstream(
  folder: string,
  { plainPort, tlsPort, tlsClosingPort }: Pick<Stage, 'plainPort' | 'tlsPort' | 'tlsClosingPort'>,
  certs: Stage['certs'],
): Measured {
  const root = join(folder, 'www');
  mkdirSync(root, { mode: 0o755 });
  for (const [path, size] of Object.entries(SIZES)) writeFileSync(join(root, path), 'x'.repeat(size));
  const config = join(folder, 'upstream.conf');
  const locations = `root ${root}; default_type text/plain; location = /100 { return 200 "${'x'.repeat(100)}"; } location = /1k { return 200 "${'x'.repeat(1024)}"; }`;
  const tls = `ssl_certificate ${certs.cert}; ssl_certificate_key ${certs.key}; ssl_client_certificate ${certs.ca}; ssl_verify_client on; ssl_protocols TLSv1.3;`;
  writeFileSync(
    config,
    `user root; daemon off; worker_processes 1; pid ${folder}/upstream.pid; error_log ${folder}/upstream.log error;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; client_body_temp_path ${folder}/u1; proxy_temp_path ${folder}/u2; fastcgi_temp_path ${folder}/u3; uwsgi_temp_path ${folder}/u4; scgi_temp_path ${folder}/u5;
  open_file_cache max=16; sendfile on;
  server { listen 127.0.0.1:${plainPort} backlog=4096; ${locations} }
  server { listen 127.0.0.1:${tlsPort} ssl backlog=4096; ${tls} ${locations} }
  server { listen 127.0.0.1:${tlsClosingPort} ssl backlog=4096; keepalive_timeout 0; ${tls} ${locations} }
}
`,
  );
  return startPinned('upstream', LOAD_CORE, 'nginx', ['-c', config], { PATH: `${process.env.PATH}:/usr/sbin` });
}

/** Arguments and environment of the upstream of the HTTP/2 rows. */
export function http2Server({ http2Port, http2TlsPort, certs }: Pick<Stage, 'http2Port' | 'http2TlsPort' | 'certs'>): {
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string };
} {
  return {
    args: [join(import.meta.dirname, '../http2/server.ts')],
    env: {
      BENCH_H2_PORT: String(http2Port),
      BENCH_H2_TLS_PORT: String(http2TlsPort),
      BENCH_CA: certs.ca,
      BENCH_CERT: certs.cert,
      BENCH_KEY: certs.key,
    },
  };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

export async function isUp(port: number): Promise<boolean> {
  try {
    await (await fetch(`http://127.0.0.1:${port}/100`, { signal: AbortSignal.timeout(500) })).text();
    return true;
  } catch {
    return false;
  }
}

export function tcpOpen(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done(true);
    });
    socket.on('error', () => done(false));
  });
}

/** Polls `look` every 5 ms for at most 20 s; returns the milliseconds it took. */
export async function until(look: () => boolean | Promise<boolean>, explain: () => string): Promise<number> {
  const startedAt = performance.now();
  while (!(await look())) {
    if (performance.now() - startedAt > 20_000) throw new Error(`did not come up within 20 s:\n${explain()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - startedAt;
}
