/** Runs a suite on one proxy and gives the record that is compared. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { render, type Suite } from './case.ts';
import { type ClientSaw, type Exchange, run, type TlsSaw } from './client.ts';
import { normaliseHeaders, normaliseRest, normaliseText } from './compare.ts';
import type { Message } from './http-text.ts';
import { type ProxyKind, type RunningProxy, startProxy } from './proxies.ts';
import { comparableStats } from './stats.ts';
import { reply, type Seen, Upstream, type UpstreamTlsSaw } from './upstream.ts';

interface MessageRecord {
  readonly start: string;
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
  readonly framing: string;
}

interface SeenRecord extends MessageRecord {
  readonly tls: UpstreamTlsSaw | undefined;
  /** `2.3`: the third request of the case's second connection; `0.x` is a connection from before. */
  readonly connection: string | undefined;
}

export interface CaseRecord {
  readonly client: readonly {
    readonly responses: readonly MessageRecord[];
    readonly end: string;
    readonly rest: string;
    readonly tls: TlsSaw | undefined;
  }[];
  readonly upstreams: { readonly [name: string]: readonly SeenRecord[] };
  readonly accessLog: readonly { readonly [key: string]: unknown }[];
}

export interface SuiteRecord {
  readonly cases: readonly { readonly record: CaseRecord; readonly tookMs: readonly number[] }[];
  readonly stats: { readonly [name: string]: number };
}

const LOG_WITHIN_MS = 1_500;

/** `alter` may change the rendered bootstrap: the harness's own tests use it. */
export async function runSuite(
  kind: ProxyKind,
  suite: Suite,
  alter: (bootstrap: string) => string = (text) => text,
): Promise<SuiteRecord> {
  const upstreams = suite.upstreams.map((name) => {
    const over = suite.upstreamHttp2?.includes(name) === true ? 'http2' : suite.upstreamTls?.[name];
    return new Upstream(name, suite.atStart?.[name] ?? [reply(200, name)], over);
  });
  for (const upstream of upstreams) await upstream.start();
  let proxy: RunningProxy | undefined;
  try {
    const ports = new Map(upstreams.map((upstream) => [upstream.name, upstream.port]));
    const listeners = new Set(
      suite.cases.flatMap(({ client }) => [client].flat().map((exchange) => listenerOf(suite, exchange as Exchange))),
    );
    proxy = await startProxy(kind, alter(render(suite.bootstrap, ports)), [...listeners], suite.files);
    const { ports: bound } = proxy;
    const names = new Map([...ports].map(([name, number]) => [number, name]));
    for (const [listener, port] of bound) names.set(port, listener);
    const exchange = (one: Exchange) => run(bound.get(listenerOf(suite, one)) as number, one);
    const log = new LogReader(join(proxy.folder, 'access.log'));
    const cases: SuiteRecord['cases'][number][] = [];
    for (const one of suite.cases) {
      for (const path of one.admin ?? []) await proxy.post(path);
      for (const upstream of upstreams) {
        if (one.sinceStart?.includes(upstream.name) === true) continue;
        await upstream.reset(one.upstreams?.[upstream.name] ?? [reply(200, upstream.name)]);
      }
      for (const path of one.posts ?? []) await proxy.post(path);
      const exchanges = [one.client].flat() as Exchange[];
      const saw: ClientSaw[] = [];
      if (one.together === true) saw.push(...(await Promise.all(exchanges.map(exchange))));
      else for (const each of exchanges) saw.push(await exchange(each));
      const answered = saw.reduce((sum, { responses }) => sum + Math.max(1, responses.filter(isFinal).length), 0);
      const lines = await log.take(one.logLines ?? answered);
      const record: CaseRecord = {
        client: saw.map(({ responses, end, rest, tls }) => ({
          responses: responses.map(recordOf),
          end,
          rest: normaliseRest(rest),
          tls,
        })),
        upstreams: Object.fromEntries(
          upstreams.map(({ name, seen }) => [name, seen.map((each) => seenRecordOf(each, suite.connections === true))]),
        ),
        accessLog: lines,
      };
      cases.push({
        record: JSON.parse(normaliseText(JSON.stringify(record), names)) as CaseRecord,
        tookMs: saw.map(({ tookMs }) => tookMs),
      });
    }
    return { cases, stats: comparableStats(await proxy.get('/stats')) };
  } finally {
    await proxy?.stop();
    for (const upstream of upstreams) await upstream.stop();
  }
}

const listenerOf = (suite: Suite, exchange: Exchange) => exchange.listener ?? suite.listener;

const isFinal = ({ start }: Message) => !/^HTTP\/1\.[01] 1(?!01)/.test(start);

function recordOf(message: Message): MessageRecord {
  return {
    ...message,
    start: message.start,
    body: decoded(message),
    headers: normaliseHeaders(message.headers),
    trailers: normaliseHeaders(message.trailers),
  };
}

const CODINGS: { readonly [coding: string]: (bytes: Buffer) => Buffer } = {
  gzip: (bytes) => gunzipSync(bytes),
  br: (bytes) => brotliDecompressSync(bytes),
  zstd: (bytes) => zstdDecompressSync(bytes),
};

/** `<gzip> text`: the same text is compressed to other bytes by other libraries. What does not decompress stays as it is. */
function decoded({ headers, body }: Message): string {
  const coding = headers.find(([name]) => name.toLowerCase() === 'content-encoding')?.[1] ?? '';
  const decode = CODINGS[coding];
  if (decode === undefined || body === '') return body;
  try {
    return `<${coding}> ${decode(Buffer.from(body, 'latin1')).toString('latin1')}`;
  } catch {
    return body;
  }
}

function seenRecordOf({ request, tls, connection, onConnection }: Seen, connections: boolean): SeenRecord {
  const at = connection === 0 ? '0.x' : `${connection}.${onConnection}`;
  return { ...recordOf(request), tls, connection: connections ? at : undefined };
}

/** Reads a file of lines as it grows: JSON, or text as `{ line }`. */
class LogReader {
  private readonly path: string;
  private taken = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** The lines since the last call, once there are `atLeast` of them or the time is up. */
  async take(atLeast: number): Promise<{ readonly [key: string]: unknown }[]> {
    const deadline = Date.now() + LOG_WITHIN_MS;
    for (;;) {
      const lines = existsSync(this.path) ? readFileSync(this.path, 'utf8').split('\n').slice(0, -1) : [];
      const fresh = lines.slice(this.taken);
      if (fresh.length >= atLeast || Date.now() > deadline) {
        this.taken = lines.length;
        return fresh.map((line) =>
          line.startsWith('{') ? (JSON.parse(line) as { readonly [key: string]: unknown }) : { line },
        );
      }
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}
