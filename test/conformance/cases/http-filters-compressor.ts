import { accessLog, countedApart, http, httpOptions, LOG_FORMAT, type Suite, typeUrl } from '../harness/case.ts';
import { type Exchange, get, http2, on, post } from '../harness/client.ts';
import { request } from '../harness/http2-client.ts';
import { reply } from '../harness/upstream.ts';

const NAME = 'envoy.filters.http.compressor';
const HTTP = 'envoy.extensions.filters.http.compressor.v3';
const library = (kind: 'gzip' | 'brotli' | 'zstd', options: object = {}) => ({
  name: `text_${kind}`,
  typed_config: {
    '@type': typeUrl(`envoy.extensions.compression.${kind}.compressor.v3.${kind[0]?.toUpperCase()}${kind.slice(1)}`),
    ...options,
  },
});
const compressor = (config: object, kind: 'gzip' | 'brotli' | 'zstd' = 'gzip', name = NAME, options: object = {}) => ({
  name,
  typed_config: { '@type': typeUrl(`${HTTP}.Compressor`), compressor_library: library(kind, options), ...config },
});
const off = { default_value: false, runtime_key: 'off' };
const here = (config: object) => ({
  typed_per_filter_config: { [NAME]: { '@type': typeUrl(`${HTTP}.CompressorPerRoute`), ...config } },
});
const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') },
};
const chain = (...filters: object[]) => ({ http_filters: [...filters, ROUTER] });
const three = (more: object = {}, first: object = {}) =>
  chain(
    compressor({ response_direction_config: {}, ...more }, 'gzip', 'one'),
    compressor({ response_direction_config: {} }, 'brotli', 'two'),
    compressor({ response_direction_config: {}, ...first }, 'zstd', 'three'),
  );

const BODY = 'a payment of 100, '.repeat(20);
const GZIP = { 'accept-encoding': 'gzip' };
const asked = (accepted: string) => ({ 'accept-encoding': accepted });
const answers = (fields: { readonly [name: string]: string }, status = 200, body = BODY) => ({
  a: [reply(status, body, fields)],
});
/** Chunked, a piece at a time. */
const pieces = (trailers = '', type = 'text/plain') => ({
  two: [
    {
      do: 'send' as const,
      bytes: `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: ${type}\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n${trailers}\r\n`,
    },
  ],
});
const chunked = (path: string, chunks: readonly string[], fields: object = {}, trailers = ''): Exchange => ({
  send: [
    `POST ${path} HTTP/1.1\r\nhost: conformance.test\r\ntransfer-encoding: chunked\r\n${Object.entries(fields)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`,
    ...chunks.flatMap((chunk) => [20, `${chunk.length.toString(16)}\r\n${chunk}\r\n`]),
    20,
    `0\r\n${trailers}\r\n`,
  ],
});

const ACCEPTED = [
  'gzip;q=0',
  'gzip, br',
  'br;q=1, gzip;q=0.5',
  'zstd;q=0.4,br;q=0.3',
  '*',
  'gzip;q=0, *',
  'identity',
  'identity, gzip',
  'gzip;q=0.5,identity',
  'identity;q=0.2,gzip;q=0.2',
  'deflate',
  'deflate;q=0',
  ',',
  'gzip;q=a',
  'gzip;Q=0.3,br',
  'gzip;foo=1',
  'GZIP',
  '*;q=0',
  '*;q=0.1,br;q=0.05',
  'gzip;q=2',
  'gzip;q=-1',
  'gzip,identity;q=0',
  'gzip;q=0,br;q=0,zstd;q=0,*',
  'gzip ; q = 0.5 , br ; q = 0.7',
  'gzip;q=',
  'gzip;q',
  'br, zstd, gzip',
];

const FIELDS: readonly { readonly [name: string]: string }[] = [
  { 'content-encoding': 'br' },
  { 'content-encoding': 'identity' },
  { 'cache-control': 'max-age=1, no-transform' },
  { 'cache-control': 'No-Transform' },
  { 'cache-control': 'no-transformer' },
  { etag: '"abc"' },
  { etag: 'W/"abc"' },
  { etag: 'w/"abc"' },
  { etag: 'ab' },
  { vary: 'Origin' },
  { vary: 'accept-encoding' },
  { vary: 'Accept-Encoding, Origin' },
  { vary: '*' },
];

/** Which messages are compressed, with what, and what their headers say of it. */
export const suite: Suite = {
  name: 'http-filters compressor',
  upstreams: ['a', 'two'],
  upstreamHttp2: ['two'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], two: { endpoints: ['two'], ...httpOptions({}, { http2_protocol_options: {} }) } },
    routes: [
      { match: { prefix: '/off' }, route: { cluster: 'a' }, ...here({ disabled: true }) },
      {
        match: { prefix: '/on' },
        route: { cluster: 'a' },
        ...here({ overrides: { response_direction_config: {} } }),
      },
      {
        match: { prefix: '/removes' },
        route: { cluster: 'a' },
        ...here({ overrides: { response_direction_config: { remove_accept_encoding_header: true } } }),
      },
      { match: { prefix: '/empty' }, route: { cluster: 'a' }, ...here({ overrides: {} }) },
      { match: { prefix: '/two' }, route: { cluster: 'two' } },
      { match: { prefix: '/direct' }, direct_response: { status: 200, body: { inline_string: BODY } } },
      { match: { prefix: '/' }, route: { cluster: 'a' } },
    ],
    manager: {
      http_protocol_options: { enable_trailers: true },
      access_log: [accessLog({ json_format: { ...LOG_FORMAT, sent: '-' } })],
    },
    more: { layered_runtime: { layers: [{ name: 'static', static_layer: { on: true, word: 'false' } }] } },
    filters: [compressor({})],
    variants: {
      both: {
        ...chain(compressor({ request_direction_config: {}, response_direction_config: {} })),
        upgrade_configs: [{ upgrade_type: 'websocket' }],
      },
      old: chain(
        compressor({
          content_length: 100,
          content_type: ['text/special'],
          disable_on_etag_header: true,
          remove_accept_encoding_header: true,
        }),
      ),
      switched: chain(compressor({ runtime_enabled: off })),
      'by-runtime': chain(compressor({ runtime_enabled: { default_value: false, runtime_key: 'on' } })),
      'by-word': chain(compressor({ runtime_enabled: { default_value: true, runtime_key: 'word' } })),
      strict: chain(
        compressor({
          content_length: 1000,
          request_direction_config: { common_config: { min_content_length: 10, content_type: ['text/special'] } },
          response_direction_config: {
            common_config: { min_content_length: 5, content_type: ['Text/Special'], enabled: off },
            disable_on_etag_header: true,
            remove_accept_encoding_header: true,
          },
        }),
      ),
      three: three(),
      first: three({ choose_first: true }),
      last: three({ choose_first: true }, { choose_first: true }),
      typed: chain(
        compressor({ response_direction_config: { common_config: { content_type: ['text/html'] } } }, 'gzip', 'one'),
        compressor({ response_direction_config: { common_config: { content_type: ['text/css'] } } }, 'brotli', 'two'),
      ),
      twice: chain(
        compressor({ response_direction_config: { common_config: { min_content_length: 500 } } }, 'gzip', 'one'),
        compressor({ response_direction_config: { common_config: { min_content_length: 10 } } }, 'gzip', 'two'),
      ),
      tuned: chain(
        compressor({}, 'gzip', 'one', {
          memory_level: 9,
          compression_level: 'BEST_COMPRESSION',
          compression_strategy: 'HUFFMAN_ONLY',
          window_bits: 15,
          chunk_size: 65536,
        }),
        compressor({}, 'brotli', 'two', {
          quality: 11,
          encoder_mode: 'TEXT',
          window_bits: 24,
          input_block_bits: 16,
          disable_literal_context_modeling: true,
        }),
        compressor({}, 'zstd', 'three', { compression_level: 19, enable_checksum: true, strategy: 'BTULTRA2' }),
      ),
    },
  }),
  statsDiffer: countedApart('other libraries compress to other lengths; Envoy’s HTTP/2 library', [
    ...['by-runtime', 'by-word', 'ingress', 'old', 'switched'].map(
      (name) => `http.${name}.compressor.text_gzip.gzip.total_compressed_bytes`,
    ),
    ...['both', 'first', 'last', 'strict', 'three', 'twice', 'typed'].map(
      (name) => `http.${name}.compressor.text_gzip.gzip.response.total_compressed_bytes`,
    ),
    ...['both', 'strict'].map((name) => `http.${name}.compressor.text_gzip.gzip.request.total_compressed_bytes`),
    ...['first', 'last', 'three'].map(
      (name) => `http.${name}.compressor.text_zstd.zstd.response.total_compressed_bytes`,
    ),
    ...['first', 'last', 'three', 'typed'].map(
      (name) => `http.${name}.compressor.text_brotli.brotli.response.total_compressed_bytes`,
    ),
    'http.tuned.compressor.text_gzip.gzip.total_compressed_bytes',
    'http.tuned.compressor.text_zstd.zstd.total_compressed_bytes',
    'cluster.two.http2.nghttp2_upstream_connections',
  ]),
  cases: [
    { name: 'a response', client: get('/', GZIP) },
    { name: 'a response in text', client: get('/', GZIP), upstreams: answers({ 'content-type': 'text/plain' }) },
    { name: 'nothing is accepted', client: get('/'), upstreams: answers({}) },
    { name: 'something else is accepted', client: get('/', asked('br')), upstreams: answers({}) },
    ...[29, 30].map((size) => ({
      name: `${size} bytes`,
      client: get('/', GZIP),
      upstreams: answers({}, 200, 'x'.repeat(size)),
    })),
    {
      name: 'a length that is not known',
      client: get('/two', GZIP),
      upstreams: pieces(),
    },
    { name: 'trailers', client: get('/two', GZIP), upstreams: pieces('checksum: 1\r\n') },
    ...[
      'text/html; charset=utf-8',
      'TEXT/HTML',
      'image/png',
      'application/json ;a',
      'application/grpc',
      'application/grpc-web',
      '',
    ].map((type) => ({
      name: `content type "${type}"`,
      client: get('/', GZIP),
      upstreams: answers({ 'content-type': type }),
    })),
    ...FIELDS.map((fields) => ({
      name: Object.entries(fields).flat().join(': '),
      client: get('/', GZIP),
      upstreams: answers(fields),
    })),
    ...[206, 304, 404, 500].map((status) => ({
      name: `status ${status}`,
      client: get('/', GZIP),
      upstreams: answers({}, status, status === 304 ? '' : BODY),
    })),
    {
      name: 'status 204',
      client: get('/', GZIP),
      upstreams: { a: [{ do: 'send' as const, bytes: 'HTTP/1.1 204 No Content\r\n\r\n' }] },
    },
    {
      name: 'HEAD',
      client: get('/', GZIP, 'HEAD'),
      upstreams: { a: [{ do: 'send' as const, bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n' }] },
    },
    { name: 'a direct response', client: get('/direct', GZIP) },
    { name: 'a local reply', client: get('/', GZIP), upstreams: { a: [{ do: 'reset' }] } },
    { name: 'a route without it', client: [get('/off', GZIP), post('/off', BODY, GZIP)], upstreams: answers({}) },
    {
      name: 'a route that switches it on',
      client: ['/on', '/removes', '/empty', '/off'].map((path) => on('switched', get(path, GZIP))),
      upstreams: answers({}),
    },
    {
      name: 'a route that removes accept-encoding',
      client: [get('/removes', GZIP), on('strict', get('/removes', GZIP)), on('strict', get('/on', GZIP))],
      upstreams: answers({ 'content-type': 'text/special' }),
    },
    {
      name: 'switched by the runtime',
      client: [on('by-runtime', get('/', GZIP)), on('by-word', get('/', GZIP))],
      upstreams: answers({}),
    },
    { name: 'switched off', client: on('switched', get('/', GZIP)), upstreams: answers({}) },
    {
      name: 'a direction’s own fields',
      client: [on('strict', get('/', GZIP)), on('strict', post('/', BODY, { 'content-type': 'text/special' }))],
      upstreams: answers({ 'content-type': 'text/special' }),
    },
    {
      name: 'the old fields',
      client: [on('old', get('/', GZIP)), on('old', post('/', BODY, GZIP))],
      upstreams: answers({ 'content-type': 'text/special' }),
    },
    {
      name: 'the old fields: an etag',
      client: on('old', get('/', GZIP)),
      upstreams: answers({ 'content-type': 'text/special', etag: 'W/"1"' }),
    },
    {
      name: 'the old fields: short',
      client: on('old', get('/', GZIP)),
      upstreams: answers({ 'content-type': 'text/special' }, 200, 'short'.repeat(10)),
    },
    {
      name: 'the old fields: another type',
      client: on('old', get('/', GZIP)),
      upstreams: answers({ 'content-type': 'text/html' }),
    },
    { name: 'requests', client: on('both', post('/', BODY, { 'content-type': 'text/plain' })) },
    { name: 'requests in pieces', client: on('both', chunked('/', ['abc', 'defg'])) },
    { name: 'requests with trailers', client: on('both', chunked('/two', ['abc', 'defg'], {}, 'checksum: 1\r\n')) },
    {
      name: 'requests that stay as they are',
      client: [
        on('both', get('/')),
        on('both', post('/', 'short')),
        on('both', post('/', BODY, { 'content-encoding': 'br' })),
        on('both', post('/', BODY, { 'content-type': 'image/png' })),
        on('both', post('/', BODY, { 'cache-control': 'no-transform' })),
        on('both', post('/off', BODY)),
      ],
    },
    {
      name: 'an upgrade that is refused',
      client: on('both', get('/', { ...GZIP, connection: 'Upgrade', upgrade: 'websocket' })),
      upstreams: answers({}, 403),
    },
    {
      name: 'which of three',
      client: ACCEPTED.map((accepted) => on('three', get('/', asked(accepted)))),
      upstreams: answers({}),
    },
    {
      name: 'one that comes first',
      client: ACCEPTED.map((accepted) => on('first', get('/', asked(accepted)))),
      upstreams: answers({}),
    },
    {
      name: 'two that come first',
      client: ACCEPTED.map((accepted) => on('last', get('/', asked(accepted)))),
      upstreams: answers({}),
    },
    {
      name: 'accept-encoding in two lines',
      client: on('three', {
        send: [
          'GET / HTTP/1.1\r\nhost: conformance.test\r\naccept-encoding: br\r\naccept-encoding: gzip;q=0.3\r\n\r\n',
        ],
      }),
      upstreams: answers({}),
      differs: {
        why: 'fields are passed on as they came; Envoy joins those that it knows',
        at: { 'upstreams.a[0].headers.*': { envoy: '*', tollway: '*' } },
      },
    },
    ...['text/html', 'text/css', 'text/plain'].map((type) => ({
      name: `compressors by type: ${type}`,
      client: ['gzip, br', 'br;q=0.5, gzip', '*', 'gzip', 'br'].map((accepted) =>
        on('typed', get('/', asked(accepted))),
      ),
      upstreams: answers({ 'content-type': type }),
    })),
    ...[5, 100, 600].map((size) => ({
      name: `two of one coding: ${size} bytes`,
      client: on('twice', get('/', GZIP)),
      upstreams: answers({}, 200, 'x'.repeat(size)),
    })),
    {
      name: 'libraries with their options',
      client: ['gzip', 'br', 'zstd'].map((coding) => on('tuned', get('/', asked(coding)))),
      upstreams: answers({}),
    },
    {
      name: 'from HTTP/2',
      client: [
        http2([request(1, 'GET', '/', GZIP)]),
        http2([request(1, 'GET', '/two', GZIP)]),
        http2([request(1, 'POST', '/two', GZIP, BODY)]),
      ],
      upstreams: { ...answers({}), ...pieces('checksum: 1\r\n') },
    },
  ],
};
