import { type Case, http, type Suite } from '../harness/case.ts';
import { http2, on } from '../harness/client.ts';
import { request, reset } from '../harness/http2-client.ts';
import type { Answer } from '../harness/upstream.ts';

const HANG: readonly Answer[] = [{ do: 'hang' }];
const opened = (stream: number, path = '/a') => request(stream, 'GET', path);
const flood = (count: number, between: number): (Buffer | number)[] =>
  Array.from({ length: count }, (_, i) => [opened(2 * i + 1), between, reset(2 * i + 1, 8), 10]).flat();

/** Clients that reset streams before they are answered, with limits from the runtime. */
export const suite: Suite = {
  name: 'premature resets',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    routes: [
      { match: { prefix: '/direct' }, direct_response: { status: 200 } },
      { match: { prefix: '/a' }, route: { cluster: 'a' } },
    ],
    variants: { other: {} },
    more: {
      layered_runtime: {
        layers: [
          {
            name: 'static',
            static_layer: {
              overload: { premature_reset_total_stream_count: 6, premature_reset_min_stream_lifetime_seconds: 0 },
            },
          },
        ],
      },
    },
  }),
  cases: [
    ...[1, 2, 3, 4].map(
      (count): Case => ({
        name: `${count} reset at once`,
        client: { ...http2(flood(count, 100), 0), withinMs: 1200 },
        upstreams: { a: HANG },
        logLines: Math.min(count, 3),
      }),
    ),
    {
      name: 'some are answered',
      client: {
        ...http2(
          [
            ...[1, 3, 5, 7, 9].map((id) => opened(id, '/direct')),
            30,
            ...[11, 13, 15].flatMap((id) => [opened(id), 100, reset(id, 8), 10]),
          ],
          0,
        ),
        withinMs: 1200,
      },
      upstreams: { a: HANG },
      logLines: 8,
    },
    {
      name: 'reset after more than the time',
      client: {
        ...http2([...[1, 3, 5].flatMap((id) => [opened(id)]), 1100, reset(1, 8), reset(3, 8), reset(5, 8)], 0),
        withinMs: 1500,
      },
      upstreams: { a: HANG },
      logLines: 3,
    },
    {
      name: 'reset after the answer has begun',
      client: { ...http2(flood(4, 150), 0), withinMs: 1500 },
      upstreams: {
        a: [
          {
            do: 'send',
            early: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx',
            bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx',
          },
        ],
      },
      logLines: 4,
    },
    {
      name: 'connections count apart',
      client: [
        on('other', { ...http2(flood(2, 100), 0), withinMs: 600 }),
        on('other', { ...http2(flood(2, 100), 0), withinMs: 600 }),
      ],
      upstreams: { a: HANG },
      logLines: 4,
    },
  ],
};
