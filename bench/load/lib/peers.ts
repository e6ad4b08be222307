/** The proxies that are measured: how each is started on a row's wish. */
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type HttpProxyWish, httpProxy } from './bootstraps.ts';
import { type Measured, startPinned } from './processes.ts';
import { isUp, PROXY_CORE, type Stage, tcpOpen, until } from './stage.ts';

export type PeerName = 'tollway' | 'envoy' | 'haproxy' | 'nginx';

const ROOT = resolve(import.meta.dirname, '../../..');
export const ENVOY = join(ROOT, '.peers/venv/bin/envoy');

export interface StartedPeer {
  readonly process: Measured;
  /** From the start of the process until its port answers. */
  readonly readyMs: number;
}

/** Starts `peer` on `wish`, pinned to the proxy's core, and waits until its listener accepts. */
export async function startPeer(
  peer: PeerName,
  stage: Stage,
  wish: HttpProxyWish,
  core: number | string = PROXY_CORE,
): Promise<StartedPeer> {
  const process = starters[peer](stage, wish, core);
  // A TLS listener is up when the admin page says so; a plain one when it answers.
  const ready =
    wish.tlsIn === true && (peer === 'envoy' || peer === 'tollway')
      ? () => adminReady(wish.adminPort)
      : () => isListening(wish);
  const readyMs = await until(async () => {
    if (process.child.exitCode !== null)
      throw new Error(`${peer} ended with ${process.child.exitCode}:\n${process.output()}`);
    return ready();
  }, process.output);
  return { process, readyMs };
}

function isListening(wish: HttpProxyWish): Promise<boolean> {
  return wish.tlsIn === true ? tcpOpen(wish.port) : isUp(wish.port);
}

async function adminReady(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/ready`, { signal: AbortSignal.timeout(500) });
    await answer.text();
    return answer.status === 200;
  } catch {
    return false;
  }
}

const starters: {
  readonly [peer in PeerName]: (stage: Stage, wish: HttpProxyWish, core: number | string) => Measured;
} = {
  tollway: (stage, wish, core) =>
    startPinned('tollway', core, process.execPath, [
      join(ROOT, 'bin/tollway.js'),
      '-c',
      writeBootstrap(stage, wish),
      '--concurrency',
      '1',
      '-l',
      'warning',
    ]),
  envoy: (stage, wish, core) =>
    startPinned('envoy', core, ENVOY, [
      '-c',
      writeBootstrap(stage, wish),
      '--concurrency',
      '1',
      '--disable-hot-restart',
      '-l',
      'warning',
    ]),
  haproxy: (stage, wish, core) =>
    startPinned('haproxy', core, 'haproxy', ['-db', '-f', writeHaproxy(stage, wish)], withSbin()),
  nginx: (stage, wish, core) => startPinned('nginx', core, 'nginx', ['-c', writeNginx(stage, wish)], withSbin()),
};

function withSbin(): { readonly [name: string]: string } {
  return { PATH: `${process.env.PATH}:/usr/sbin` };
}

export function isInstalled(peer: PeerName): boolean {
  if (peer === 'tollway') return true;
  if (peer === 'envoy') return existsSync(ENVOY);
  return ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin'].some((folder) =>
    existsSync(join(folder, peer)),
  );
}

function writeBootstrap(stage: Stage, wish: HttpProxyWish): string {
  const path = join(stage.folder, `bootstrap-${wish.port}.json`);
  writeFileSync(path, JSON.stringify(httpProxy(stage, wish)));
  return path;
}

function writeHaproxy(stage: Stage, wish: HttpProxyWish): string {
  const path = join(stage.folder, `haproxy-${wish.port}.cfg`);
  const both = join(stage.folder, 'both.pem');
  const tls = `ssl crt ${both} ca-file ${stage.certs.ca} verify required${wish.http2 === true ? ' alpn h2' : ''}`;
  const bind = wish.tlsIn === true ? ` ${tls}` : '';
  const prior = wish.http2 === true ? ' proto h2' : '';
  const server = wish.tlsOut === true ? ` ${tls} sni str(bench.test)` : prior;
  writeFileSync(
    path,
    `global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:${wish.port}${bind}
  default_backend b
backend b
  server s 127.0.0.1:${wish.upstreamPort}${server}
`,
  );
  return path;
}

function writeNginx(stage: Stage, wish: HttpProxyWish): string {
  const path = join(stage.folder, `nginx-${wish.port}.conf`);
  const { folder, certs } = stage;
  const listen =
    wish.tlsIn === true
      ? `${wish.port} ssl; ssl_certificate ${certs.cert}; ssl_certificate_key ${certs.key}; ssl_client_certificate ${certs.ca}; ssl_verify_client on; ssl_protocols TLSv1.3`
      : `${wish.port}`;
  const tls =
    wish.tlsOut === true
      ? `proxy_ssl_certificate ${certs.cert}; proxy_ssl_certificate_key ${certs.key}; proxy_ssl_trusted_certificate ${certs.ca}; proxy_ssl_verify on; proxy_ssl_name bench.test; proxy_ssl_protocols TLSv1.3;`
      : '';
  writeFileSync(
    path,
    `user root; daemon off; worker_processes 1; pid ${folder}/nginx-${wish.port}.pid; error_log ${folder}/nginx.log error;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path ${folder}/n1; proxy_temp_path ${folder}/n2; fastcgi_temp_path ${folder}/n3; uwsgi_temp_path ${folder}/n4; scgi_temp_path ${folder}/n5;
  upstream u { server 127.0.0.1:${wish.upstreamPort}; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${listen}; location / { proxy_pass ${wish.tlsOut === true ? 'https' : 'http'}://u; proxy_http_version 1.1; proxy_set_header Connection ""; ${tls} } }
}
`,
  );
  return path;
}
