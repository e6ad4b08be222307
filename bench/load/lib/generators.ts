/** The load generators: wrk for saturation, oha for a fixed rate and for client certificates, h2load for HTTP/2, the bench's own for gRPC. */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { GrpcLoad } from '../http2/grpc-client.ts';
import type { HandshakeLoad } from '../tls/handshake-client.ts';
import { LOAD_CORE } from './stage.ts';

const OHA = join(resolve(import.meta.dirname, '../../..'), '.peers/oha/bin/oha');
const HANDSHAKE_CLIENT = join(import.meta.dirname, '../tls/handshake-client.ts');
const GRPC_CLIENT = join(import.meta.dirname, '../http2/grpc-client.ts');

export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  /** The first failure, where the generator says it. */
  readonly why?: string;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

export interface Tls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface LoadWish {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second; `undefined`: as many as can be (closed loop). With a rate, latency counts from the intended start. */
  readonly rate?: number;
  readonly tls?: Tls;
  readonly method?: 'GET' | 'POST';
  readonly body?: string;
  /** A body from a file. */
  readonly bodyPath?: string;
  /** A connection a request. */
  readonly close?: boolean;
  /** HTTP/2 with that many streams a connection; `grpc`: calls, or messages on streams that stay, instead of plain requests. */
  readonly http2?: { readonly streams: number; readonly grpc?: GrpcLoad['kind'] };
  /** A connection a request: with a handshake of its own, or the session of the one before. */
  readonly handshakes?: 'full' | 'resumed';
}

/** Runs the load and returns its figures. Throws when the generator itself fails. */
export async function load(wish: LoadWish): Promise<LoadResult> {
  if (wish.handshakes !== undefined) return handshakes(wish);
  if (wish.http2 !== undefined) return wish.http2.grpc === undefined ? h2load(wish) : grpc(wish);
  return wish.tls === undefined && wish.rate === undefined && wish.body === undefined && wish.bodyPath === undefined
    ? wrk(wish)
    : oha(wish);
}

async function wrk(wish: LoadWish): Promise<LoadResult> {
  const text = await output('wrk', [
    '-t',
    '1',
    '-c',
    String(wish.connections),
    '-d',
    `${wish.seconds}s`,
    '--latency',
    ...(wish.close === true ? ['-H', 'Connection: close'] : []),
    wish.url,
  ]);
  const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? Number.NaN);
  if (!Number.isFinite(requests)) throw new Error(`wrk printed no figures:\n${text}`);
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const failed =
    Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0) +
    (sockets?.slice(1).reduce((sum, n) => sum + Number(n), 0) ?? 0);
  const at = (share: string) => milliseconds(new RegExp(`^\\s+${share}%\\s+([\\d.]+)(us|ms|s)`, 'm').exec(text));
  return {
    requests,
    failed,
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0),
    p50: at('50'),
    p90: at('90'),
    p99: at('99'),
    p999: Number.NaN,
  };
}

const NO_LATENCY = { p50: Number.NaN, p90: Number.NaN, p99: Number.NaN, p999: Number.NaN };

async function h2load(wish: LoadWish): Promise<LoadResult> {
  const { connections, seconds, http2, url } = wish;
  const shape = ['-t', '1', '-c', String(connections), '-m', String(http2?.streams ?? 1), '-D', String(seconds)];
  return readH2load(await output('h2load', [...shape, url]));
}

/** What `h2load -D` printed. Throws when it is something else. */
export function readH2load(text: string): LoadResult {
  const requests = /requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded/.exec(text);
  const perSecond = /, ([\d.]+) req\/s/.exec(text)?.[1];
  if (requests === null || perSecond === undefined) throw new Error(`h2load printed no figures:\n${text}`);
  const [total, succeeded] = [Number(requests[1]), Number(requests[3])];
  return { requests: succeeded, failed: total - succeeded, perSecond: Number(perSecond), ...NO_LATENCY };
}

async function grpc(wish: LoadWish): Promise<LoadResult> {
  const { tls, connections, seconds, http2 } = wish;
  if (tls === undefined) throw new Error('the gRPC rows are measured over mTLS');
  const load: GrpcLoad = {
    kind: http2?.grpc ?? 'unary',
    port: Number(new URL(wish.url).port),
    connections,
    streams: http2?.streams ?? 1,
    seconds,
    tls,
  };
  const text = await output(process.execPath, [GRPC_CLIENT], { BENCH_LOAD: JSON.stringify(load) });
  return { ...(JSON.parse(text) as Pick<LoadResult, 'requests' | 'failed' | 'perSecond' | 'why'>), ...NO_LATENCY };
}

async function handshakes(wish: LoadWish): Promise<LoadResult> {
  const { tls, connections, seconds, url } = wish;
  if (tls === undefined) throw new Error('the handshake rows are measured over mTLS');
  const resume = wish.handshakes === 'resumed';
  const load: HandshakeLoad = { port: Number(new URL(url).port), connections, seconds, resume, tls };
  const text = await output(process.execPath, [HANDSHAKE_CLIENT], { BENCH_LOAD: JSON.stringify(load) });
  return { ...(JSON.parse(text) as Pick<LoadResult, 'requests' | 'failed' | 'perSecond' | 'why'>), ...NO_LATENCY };
}

function milliseconds(match: RegExpExecArray | null): number {
  if (match === null) return Number.NaN;
  return Number(match[1]) * { us: 0.001, ms: 1, s: 1000 }[match[2] as 'us' | 'ms' | 's'];
}

interface OhaJson {
  readonly summary: { readonly requestsPerSec: number; readonly successRate: number };
  readonly latencyPercentiles: { readonly [share: string]: number };
  readonly statusCodeDistribution: { readonly [status: string]: number };
  readonly errorDistribution: { readonly [error: string]: number };
}

async function oha(wish: LoadWish): Promise<LoadResult> {
  const args = ['--no-tui', '--output-format', 'json', '-c', String(wish.connections), '-z', `${wish.seconds}s`];
  if (wish.rate !== undefined) args.push('-q', String(wish.rate), '--latency-correction');
  if (wish.tls !== undefined) args.push('--cacert', wish.tls.ca, '--cert', wish.tls.cert, '--key', wish.tls.key);
  if (wish.method !== undefined) args.push('-m', wish.method);
  if (wish.body !== undefined) args.push('-d', wish.body);
  if (wish.bodyPath !== undefined) args.push('-D', wish.bodyPath);
  const text = await output(OHA, [...args, wish.url]);
  const result = JSON.parse(text) as OhaJson;
  const statuses = Object.entries(result.statusCodeDistribution);
  const requests = statuses.reduce((sum, [, count]) => sum + count, 0);
  const bad = statuses.filter(([status]) => !/^[23]/.test(status)).reduce((sum, [, count]) => sum + count, 0);
  // Requests cut off by the end of the run are no failures of the proxy.
  const errors = Object.entries(result.errorDistribution).filter(([error]) => !error.includes('deadline'));
  const at = (share: string) => (result.latencyPercentiles[share] ?? Number.NaN) * 1000;
  return {
    requests,
    failed: bad + errors.reduce((sum, [, count]) => sum + count, 0),
    ...(errors[0] === undefined ? {} : { why: errors[0][0] }),
    perSecond: result.summary.requestsPerSec,
    p50: at('p50'),
    p90: at('p90'),
    p99: at('p99'),
    p999: at('p99.9'),
  };
}

function output(
  command: string,
  args: readonly string[],
  env: { readonly [name: string]: string } = {},
): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn('taskset', ['-c', String(LOAD_CORE), command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let out = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString('utf8');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString('utf8');
    });
    child.on('error', fail);
    child.on('close', (code) =>
      code === 0 ? done(out) : fail(new Error(`${command} ended with ${code}:\n${errors}${out}`)),
    );
  });
}
