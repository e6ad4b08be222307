/**
 * Looks at a connection's first bytes and gives them back: TLS server name and ALPN, or which HTTP it is. Runs before
 * the filter chain is chosen, only where a chain or the configuration asks for it.
 */
import type { Socket } from 'node:net';
import type { StatBlock, StatsStore } from '../observe/stats/contract.ts';
import type { ClientHello } from '../tls/contract.ts';
import { readClientHello } from './client-hello.ts';
import { readHttpPreface } from './http-preface.ts';
import type { ProxyGate } from './proxy-gate.ts';
import type { ProxyHeader } from './proxy-protocol.ts';
import { HTTP_INSPECTOR, HTTP_INSPECTOR_STATS, TLS_INSPECTOR, TLS_INSPECTOR_STATS } from './stats.ts';

export interface Inspected {
  readonly hello: ClientHello | undefined;
  /** `h2c`, `http/1.1`, `http/1.0`, when the HTTP inspector found one. */
  readonly http: string | undefined;
}

export const NOTHING: Inspected = { hello: undefined, http: undefined };

/** `refused`: a PROXY header that is wrong, missing or not allowed. */
export type InspectionOutcome = Inspected | 'too-large' | 'remote-close' | 'refused';

/** Which inspectors run, and where they count. */
export interface Inspectors {
  readonly tls: boolean;
  readonly http: boolean;
  /** `undefined`: the look is the proxy's own and no listener filter. */
  readonly tlsStats: StatBlock | undefined;
  readonly httpStats: StatBlock;
  /** The look is part of the handshake and has its time; `undefined`: it is a listener filter's. */
  readonly handshakeMs?: number;
  /** A PROXY header may come, or has to, before everything else. */
  readonly proxy?: ProxyGate | undefined;
}

/** A look at the ClientHello that no configuration asks for: see `negotiates` in proxy/tls/downstream-context.ts. */
export function helloReader(stats: StatsStore, handshakeMs: number): Inspectors {
  return { ...makeInspectors(true, false, stats), tlsStats: undefined, handshakeMs };
}

export function makeInspectors(tls: boolean, http: boolean, stats: StatsStore): Inspectors {
  return {
    tls,
    http,
    tlsStats: stats.block('tls_inspector.', TLS_INSPECTOR_STATS),
    httpStats: stats.block('http_inspector.', HTTP_INSPECTOR_STATS),
  };
}

/** One connection's inspection. `done` is called once, and never after `stop`. */
export class Inspection {
  readonly #socket: Socket;
  readonly #inspectors: Inspectors;
  readonly #done: (outcome: InspectionOutcome) => void;
  #bytes: Buffer | undefined;
  #over = false;
  /** A PROXY header is still waited for. */
  #proxy: ProxyGate | undefined;
  /** What the PROXY header said. */
  origin: ProxyHeader | undefined = undefined;

  constructor(socket: Socket, inspectors: Inspectors, done: (outcome: InspectionOutcome) => void) {
    this.#socket = socket;
    this.#inspectors = inspectors;
    this.#done = done;
    this.#proxy = inspectors.proxy;
    socket.on('readable', this.#onReadable);
    socket.on('end', this.#onEnd);
  }

  /** Nothing has come yet. */
  get silent(): boolean {
    return this.#proxy === undefined && this.#bytes === undefined && this.#socket.readableLength === 0;
  }

  /** Ends it without a result; the bytes go back to the socket. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.off('readable', this.#onReadable);
    this.#socket.off('end', this.#onEnd);
    // before anything else can read or see the end: unshift fails once `end` was emitted
    if (this.#bytes !== undefined) this.#socket.unshift(this.#bytes);
  }

  readonly #onReadable = (): void => {
    const chunk: Buffer | null = this.#socket.read();
    if (chunk === null) return;
    this.#bytes = this.#bytes === undefined ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#proxy !== undefined && !this.#readProxyHeader(this.#proxy, this.#bytes)) return;
    const { tls, http } = this.#inspectors;
    if (this.#bytes === undefined && (tls || http)) return;
    this.#finish(this.#bytes === undefined ? NOTHING : inspect(this.#bytes, this.#inspectors));
  };

  #finish(outcome: InspectionOutcome | undefined): void {
    if (outcome === undefined) return;
    this.stop();
    this.#done(outcome);
  }

  /** True: it is there, or not needed, and `#bytes` is what follows. */
  #readProxyHeader(gate: ProxyGate, bytes: Buffer): boolean {
    const found = gate.read(bytes);
    if (found === 'more') return false;
    this.#proxy = undefined;
    if (found === 'refused') {
      this.#finish('refused');
      return false;
    }
    if (found !== 'none') {
      this.origin = found;
      this.#bytes = bytes.length > found.length ? bytes.subarray(found.length) : undefined;
    }
    return true;
  }

  // the caller hung up, or half-closed, before it said what it is
  readonly #onEnd = (): void => {
    if (this.#over) return;
    this.#over = true;
    this.#done('remote-close');
  };
}

/** `undefined`: more bytes are needed. */
function inspect(bytes: Buffer, inspectors: Inspectors): InspectionOutcome | undefined {
  if (inspectors.tls) {
    const result = readClientHello(bytes);
    if (result.kind === 'more') return undefined;
    if (result.kind === 'too-large') {
      inspectors.tlsStats?.inc(TLS_INSPECTOR.CLIENT_HELLO_TOO_LARGE);
      return 'too-large';
    }
    if (result.kind === 'hello') {
      if (inspectors.tlsStats !== undefined) countHello(result.hello, inspectors.tlsStats);
      return { hello: result.hello, http: undefined };
    }
  }
  const http = inspectors.http ? readHttpPreface(bytes) : 'not-http';
  if (http === 'more') return undefined;
  if (inspectors.tls) inspectors.tlsStats?.inc(TLS_INSPECTOR.TLS_NOT_FOUND);
  if (!inspectors.http) return NOTHING;
  inspectors.httpStats.inc(HTTP_COUNTER[http]);
  return { hello: undefined, http: http === 'not-http' ? undefined : http };
}

const HTTP_COUNTER = {
  h2c: HTTP_INSPECTOR.HTTP2_FOUND,
  'http/1.0': HTTP_INSPECTOR.HTTP10_FOUND,
  'http/1.1': HTTP_INSPECTOR.HTTP11_FOUND,
  'not-http': HTTP_INSPECTOR.HTTP_NOT_FOUND,
} as const;

function countHello(hello: ClientHello, stats: StatBlock): void {
  stats.inc(TLS_INSPECTOR.TLS_FOUND);
  stats.inc(hello.serverName === '' ? TLS_INSPECTOR.SNI_NOT_FOUND : TLS_INSPECTOR.SNI_FOUND);
  stats.inc(hello.alpn.length === 0 ? TLS_INSPECTOR.ALPN_NOT_FOUND : TLS_INSPECTOR.ALPN_FOUND);
}
