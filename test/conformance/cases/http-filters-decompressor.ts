import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import {
  accessLog,
  countedApart,
  type Difference,
  http,
  httpOptions,
  LOG_FORMAT,
  type Suite,
  typeUrl,
} from '../harness/case.ts';
import { type Exchange, get, http2, on } from '../harness/client.ts';
import { request } from '../harness/http2-client.ts';
import { reply, type Send } from '../harness/upstream.ts';

const HTTP = 'envoy.extensions.filters.http.decompressor.v3';
type Kind = 'gzip' | 'brotli' | 'zstd';
const decompressor = (config: object = {}, kind: Kind = 'gzip', options: object = {}) => ({
  name: kind,
  typed_config: {
    '@type': typeUrl(`${HTTP}.Decompressor`),
    decompressor_library: {
      name: `Text_${kind}`,
      typed_config: {
        '@type': typeUrl(
          `envoy.extensions.compression.${kind}.decompressor.v3.${kind[0]?.toUpperCase()}${kind.slice(1)}`,
        ),
        ...options,
      },
    },
    ...config,
  },
});
const off = { enabled: { default_value: false, runtime_key: 'off' } };
const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') },
};
const chain = (...filters: object[]) => ({ http_filters: [...filters, ROUTER] });

const THREE = chain(decompressor(), decompressor({}, 'brotli'), decompressor({}, 'zstd'));
const BODY = Buffer.from('a payment of 100, '.repeat(20));
const encode: { readonly [coding: string]: (bytes: Buffer) => Buffer } = {
  gzip: gzipSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
};
const text = (bytes: Buffer) => bytes.toString('latin1');
/** A response of these bytes. */
function bytes(body: Buffer, fields: { readonly [name: string]: string }, status = 200): Send {
  const lines = Object.entries({ 'content-length': String(body.length), ...fields });
  return {
    do: 'send',
    bytes: `HTTP/1.1 ${status} OK\r\n${lines.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n${text(body)}`,
  };
}
const coded = (coding: string, fields: { readonly [name: string]: string } = {}, body = BODY) =>
  bytes(encode[coding]?.(body) ?? body, { 'content-encoding': coding, ...fields });

function post(body: Buffer, fields: { readonly [name: string]: string }, path = '/'): Exchange {
  const lines = Object.entries({ host: 'conformance.test', 'content-length': String(body.length), ...fields });
  return { send: [`POST ${path} HTTP/1.1\r\n${lines.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n${text(body)}`] };
}

const any = { envoy: '*', tollway: '*' };
const CUT: Difference = {
  why: 'a body that is broken, cut off or too much is no whole one: the stream is reset; Envoy passes on what it could read',
  at: { 'client[0].*': any, 'accessLog[0].*': any },
};
const NAMED: Difference = {
  why: 'Envoy names the trailers of every library after the first that it made',
  at: { 'client[1].responses[0].trailers.*': any, 'client[2].responses[0].trailers.*': any },
};
const REFUSED: Difference = {
  why: 'a request whose body is broken is answered with 400; Envoy passes on what it could read',
  at: { 'client[0].*': any, 'accessLog[0].*': any, 'upstreams.b[0]': { envoy: '*', tollway: undefined } },
};
const LAST: Difference = {
  why: 'of several codings the last is taken off first (RFC 9110 §8.4); Envoy takes the first',
  at: { 'client[0].*': any, 'accessLog[0].*': any },
};

/** What is decompressed, what upstreams are told, and what becomes of bodies that are broken. */
export const suite: Suite = {
  name: 'http-filters decompressor',
  upstreams: ['a', 'b', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], b: ['b'], two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) } },
    routes: [
      { match: { prefix: '/two' }, route: { cluster: 'two' } },
      { match: { prefix: '/broken' }, route: { cluster: 'b' } },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
    manager: {
      http_protocol_options: { enable_trailers: true },
      access_log: [accessLog({ json_format: { ...LOG_FORMAT } })],
    },
    filters: [decompressor()],
    variants: {
      three: THREE,
      broken: THREE,
      quiet: chain(decompressor({ request_direction_config: { advertise_accept_encoding: false } })),
      requests: chain(decompressor({ response_direction_config: { common_config: off } })),
      responses: chain(decompressor({ request_direction_config: { common_config: off } })),
      overlooks: chain(
        decompressor({
          request_direction_config: { common_config: { ignore_no_transform_header: true } },
          response_direction_config: { common_config: { ignore_no_transform_header: true } },
        }),
      ),
      tuned: chain(
        decompressor({}, 'gzip', { window_bits: 15, chunk_size: 65536, max_inflate_ratio: 1032 }),
        decompressor({}, 'brotli', { disable_ring_buffer_reallocation: true, chunk_size: 65536 }),
        decompressor({}, 'zstd', { chunk_size: 65536 }),
      ),
    },
  }),
  statsDiffer: countedApart('the differences of the cases above; Envoy’s HTTP/2 library', [
    'cluster.two.http2.nghttp2_upstream_connections',
    'cluster.b.*',
    'http.broken.*',
    'listener.<address>.http.broken.*',
  ]),
  cases: [
    { name: 'no body', client: get('/'), upstreams: { a: [reply(200)] } },
    { name: 'a body of no coding', client: get('/') },
    { name: 'a response', client: get('/'), upstreams: { a: [coded('gzip')] } },
    {
      name: 'a response to who accepts something',
      client: get('/', { 'accept-encoding': 'br;q=1' }),
      upstreams: { a: [coded('gzip')] },
    },
    { name: 'another coding', client: get('/'), upstreams: { a: [coded('br')] } },
    {
      name: 'a coding in capitals',
      client: get('/'),
      upstreams: { a: [bytes(gzipSync(BODY), { 'content-encoding': 'GZIP' })] },
    },
    {
      name: 'x-gzip',
      client: get('/'),
      upstreams: { a: [bytes(gzipSync(BODY), { 'content-encoding': 'x-gzip' })] },
    },
    {
      name: 'each of three',
      client: ['gzip', 'br', 'zstd', 'none'].map(() => on('three', get('/'))),
      upstreams: { a: [coded('gzip'), coded('br'), coded('zstd'), coded('none')] },
      differs: NAMED,
    },
    {
      name: 'with options',
      client: ['gzip', 'br', 'zstd'].map(() => on('tuned', get('/'))),
      upstreams: { a: ['gzip', 'br', 'zstd'].map((coding) => coded(coding)) },
      differs: NAMED,
    },
    {
      name: 'a length that is not known, and trailers',
      client: [get('/two'), http2([request(1, 'GET', '/two')])],
      upstreams: {
        two: [
          {
            do: 'send',
            bytes: `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\n\r\n${gzipSync(BODY).length.toString(16)}\r\n${text(gzipSync(BODY))}\r\n0\r\nchecksum: 1\r\n\r\n`,
          },
        ],
      },
    },
    { name: 'to HTTP/2', client: http2([request(1, 'GET', '/')]), upstreams: { a: [coded('gzip')] } },
    {
      name: 'no-transform',
      client: [get('/'), on('overlooks', get('/'))],
      upstreams: { a: [coded('gzip', { 'cache-control': 'private, no-transform' })] },
    },
    {
      name: 'status 404',
      client: get('/'),
      upstreams: { a: [bytes(gzipSync(BODY), { 'content-encoding': 'gzip' }, 404)] },
    },
    {
      name: 'HEAD',
      client: get('/', {}, 'HEAD'),
      upstreams: {
        a: [{ do: 'send', bytes: 'HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 50\r\n\r\n' }],
      },
    },
    { name: 'a request', client: post(gzipSync(BODY), { 'content-encoding': 'gzip' }) },
    {
      name: 'requests that stay as they are',
      client: [
        post(BODY, {}),
        post(brotliCompressSync(BODY), { 'content-encoding': 'br' }),
        post(gzipSync(BODY), { 'content-encoding': 'gzip', 'cache-control': 'no-transform' }),
        on('responses', post(gzipSync(BODY), { 'content-encoding': 'gzip' })),
      ],
    },
    {
      name: 'a request, overlooking no-transform',
      client: on('overlooks', post(gzipSync(BODY), { 'content-encoding': 'gzip', 'cache-control': 'no-transform' })),
    },
    {
      name: 'one direction alone',
      client: [
        on('requests', get('/')),
        on('requests', post(gzipSync(BODY), { 'content-encoding': 'gzip' })),
        on('responses', get('/')),
      ],
      upstreams: { a: [coded('gzip')] },
    },
    {
      name: 'not advertised',
      client: on('quiet', get('/', { 'accept-encoding': 'br' })),
      upstreams: { a: [coded('gzip')] },
    },
    {
      name: 'bytes behind the end',
      client: on('broken', get('/')),
      upstreams: { a: [bytes(Buffer.concat([gzipSync(BODY), Buffer.from('more')]), { 'content-encoding': 'gzip' })] },
      differs: CUT,
    },
    {
      name: 'two codings',
      client: on('broken', get('/')),
      upstreams: { a: [bytes(brotliCompressSync(gzipSync(BODY)), { 'content-encoding': 'gzip, br' })] },
      differs: LAST,
    },
    {
      name: 'two codings, the outer one not ours',
      client: on('broken', get('/')),
      upstreams: { a: [bytes(brotliCompressSync(gzipSync(BODY)), { 'content-encoding': 'gzip, br' })] },
      differs: LAST,
    },
    ...['gzip', 'br', 'zstd'].flatMap((coding) => [
      {
        name: `broken ${coding}`,
        client: on('broken', get('/')),
        upstreams: { a: [bytes(Buffer.from('nothing of the kind'), { 'content-encoding': coding })] },
        differs: CUT,
      },
      {
        name: `${coding} that is cut off`,
        client: on('broken', get('/')),
        upstreams: {
          a: [bytes(encode[coding]?.(BODY).subarray(0, -3) ?? BODY, { 'content-encoding': coding })],
        },
        differs: CUT,
      },
      {
        name: `${coding} that becomes too much`,
        client: on('broken', get('/')),
        upstreams: { a: [coded(coding, {}, Buffer.alloc(400_000, 'a'))] },
        differs: CUT,
      },
      {
        name: `a broken request of ${coding}`,
        client: on('broken', post(Buffer.from('nothing of the kind'), { 'content-encoding': coding }, '/broken')),
        differs: REFUSED,
      },
    ]),
  ],
};
