/** The measurements that rows share. */
import type { HttpProxyWish } from './bootstraps.ts';
import { type LoadWish, load } from './generators.ts';
import { type PeerName, type StartedPeer, startPeer } from './peers.ts';
import { cpuMicros, residentBytes, stop } from './processes.ts';
import type { Session } from './row.ts';
import { freePort, type Stage } from './stage.ts';

/** Once a peer: long enough for what compiles while it runs. */
const WARM_UP_SECONDS = 8;
const SECONDS = 5;

export type WishWithoutPorts = Omit<HttpProxyWish, 'port' | 'adminPort' | 'upstreamPort'> & {
  /** The upstream closes its connection after each response. */
  readonly upstreamCloses?: boolean;
};

export async function wishWithPorts(stage: Stage, wish: WishWithoutPorts): Promise<HttpProxyWish> {
  return {
    ...wish,
    port: await freePort(),
    adminPort: await freePort(),
    upstreamPort: upstreamOf(stage, wish),
  };
}

function upstreamOf(stage: Stage, { http2, tlsOut, upstreamCloses }: WishWithoutPorts): number {
  if (upstreamCloses === true) return stage.tlsClosingPort;
  if (http2 === true) return tlsOut === true ? stage.http2TlsPort : stage.http2Port;
  return tlsOut === true ? stage.tlsPort : stage.plainPort;
}

/** A rate for every peer of a row: half of what saturated Envoy in the row's first round. */
export class HalfOfEnvoy {
  private perSecond: number | undefined;

  saturated(peer: PeerName, perSecond: number): void {
    if (peer === 'envoy') this.perSecond ??= Math.round(perSecond / 2);
  }

  /** `undefined` before Envoy was measured. */
  get rate(): number | undefined {
    return this.perSecond;
  }
}

export interface Saturation
  extends Pick<LoadWish, 'connections' | 'http2' | 'handshakes' | 'method' | 'bodyPath' | 'close'> {
  readonly path: string;
  /** Requests a second at which latency is measured; without it, it is not. */
  readonly rate?: number | HalfOfEnvoy;
}

/** Saturates one proxy (closed loop) and gives CPU a request, requests a second and memory; then latency at `rate`. */
export async function saturate(
  peer: PeerName,
  stage: Stage,
  wish: WishWithoutPorts,
  { path, rate, ...shape }: Saturation,
  quick: boolean,
): Promise<Session> {
  const ports = await wishWithPorts(stage, wish);
  const started = await startPeer(peer, stage, ports);
  const scheme = wish.tlsIn === true ? 'https' : 'http';
  const base = {
    url: `${scheme}://localhost:${ports.port}${path}`,
    ...shape,
    ...(wish.tlsIn === true ? { tls: stage.certs } : {}),
  };
  return warm(peer, base, quick, {
    measure: async (short) => {
      const closed = await cpuOf(peer, [started], base, short);
      if (rate instanceof HalfOfEnvoy) rate.saturated(peer, closed.perSecond);
      const perSecond = rate instanceof HalfOfEnvoy ? rate.rate : rate;
      if (perSecond === undefined) return closed;
      const open = await checked(peer, { ...base, rate: perSecond, seconds: short ? 1 : SECONDS });
      return { ...closed, p50Ms: open.p50, p99Ms: open.p99, p999Ms: open.p999 };
    },
    close: () => stop(started.process),
  });
}

/** `session`, after a warm-up with the load that it will be measured with. */
export async function warm(
  peer: PeerName,
  wish: Omit<LoadWish, 'seconds'>,
  quick: boolean,
  session: Session,
): Promise<Session> {
  try {
    await checked(peer, { ...wish, seconds: quick ? 1 : WARM_UP_SECONDS });
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** CPU microseconds a request over all `started` proxies, and how busy they kept their core. */
export async function cpuOf(
  peer: PeerName,
  started: readonly StartedPeer[],
  wish: Omit<LoadWish, 'seconds'>,
  quick: boolean,
): Promise<{ readonly cpuMicros: number; readonly perSecond: number; readonly busy: number; readonly rssMb: number }> {
  const before = sum(started, cpuMicros);
  const seconds = quick ? 1 : SECONDS;
  const result = await checked(peer, { ...wish, seconds });
  const spent = sum(started, cpuMicros) - before;
  return {
    cpuMicros: spent / result.requests,
    perSecond: result.perSecond,
    busy: spent / 1e6 / seconds,
    rssMb: sum(started, residentBytes) / 2 ** 20,
  };
}

/** A load whose every request succeeded: a figure over failed requests compares nothing. */
export async function checked(peer: PeerName, wish: LoadWish): Promise<Awaited<ReturnType<typeof load>>> {
  const result = await load(wish);
  if (result.failed > 0)
    throw new Error(
      `${peer} failed ${result.failed} of ${result.requests + result.failed} requests to ${wish.url}${result.why === undefined ? '' : `: ${result.why}`}`,
    );
  if (result.requests === 0) throw new Error(`${peer} answered no request to ${wish.url}`);
  return result;
}

export function sum(started: readonly StartedPeer[], figure: (pid: number) => number): number {
  return started.reduce((total, { process }) => total + figure(process.pid), 0);
}
