import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { bootstrapOf, clusterTo, httpListener, Tollway } from './tollway.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.filters.listener';
const V2_LOCAL = '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0';
const REQUEST = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';

const filter = (name: string, message: string, config: object = {}, more: object = {}): object => ({
  name,
  typed_config: { '@type': `${TYPE}.${name}.v3.${message}`, ...config },
  ...more,
});

/** What comes back until the end; `pieces`: a write for each byte. */
async function say(port: number, text: string, pieces = false): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => undefined);
  let heard = '';
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1');
  });
  // Those that are refused are reset.
  const closed = new Promise((done) => socket.once('close', done));
  await once(socket, 'connect');
  if (!pieces) socket.write(text, 'latin1');
  else {
    for (const byte of text) {
      socket.write(byte, 'latin1');
      await new Promise((done) => setImmediate(done));
    }
  }
  const patience = setTimeout(() => socket.destroy(), 3_000);
  await closed;
  clearTimeout(patience);
  return heard;
}

test('PROXY headers say who calls, are counted, and cost nobody else anything', async (t) => {
  const body = '%DOWNSTREAM_REMOTE_ADDRESS% at %DOWNSTREAM_LOCAL_ADDRESS%';
  const route = {
    match: { prefix: '/' },
    direct_response: { status: 200, body: { inline_string: 'ok' } },
    response_headers_to_add: [{ header: { key: 'who', value: body } }],
  };
  const listener = (name: string, proxied: object, more: object[] = []): object =>
    httpListener(name, 0, [route], { stat_prefix: name, listener_filters: [proxied, ...more] });
  const strict = filter('proxy_protocol', 'ProxyProtocol', { stat_prefix: 'strict', disallowed_versions: ['V2'] });
  const lenient = filter('proxy_protocol', 'ProxyProtocol', { allow_requests_without_proxy_protocol: true });
  const off = filter('proxy_protocol', 'ProxyProtocol', {}, { filter_disabled: { any_match: true } });
  const inspector = filter('http_inspector', 'HttpInspector');
  const proxy = await new Tollway(
    t,
    bootstrapOf(
      [
        listener('strict', strict),
        listener('lenient', lenient, [inspector]),
        listener('off', off),
        httpListener('slow', 0, [route], {
          stat_prefix: 'slow',
          listener_filters: [strict],
          listener_filters_timeout: '0.3s',
        }),
      ],
      [clusterTo('none', 1)],
    ),
  ).live();
  const [first, second, third, slow] = await Promise.all(
    ['strict', 'lenient', 'off', 'slow'].map((name) => proxy.port(name)),
  );
  assert.ok(first && second && third && slow);
  const header = 'PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n';
  for (const port of [first, second]) {
    const heard = await say(port, header + REQUEST);
    assert.match(heard, /who: 203\.0\.113\.7:4711 at 198\.51\.100\.1:443/, heard);
    assert.match(await say(port, header + REQUEST, true), /who: 203\.0\.113\.7:4711/, 'in pieces of a byte');
  }
  assert.match(await say(second, REQUEST), /who: 127\.0\.0\.1:\d+ at 127\.0\.0\.1/);
  assert.match(await say(second, V2_LOCAL + REQUEST), /who: 127\.0\.0\.1:\d+ at 127\.0\.0\.1/);
  assert.match(await say(third, REQUEST), /who: 127\.0\.0\.1/);
  assert.equal(await say(first, REQUEST), '');
  assert.equal(await say(first, V2_LOCAL + REQUEST), '');
  assert.equal(await say(first, 'PROXY TCP4 nonsense\r\n'), '');
  assert.equal(await say(first, `PROXY ${'a'.repeat(500)}`), '');
  assert.equal(await say(slow, 'PROXY TCP4 1.2.3.4'), '', 'a header that never ends');
  assert.match(await say(first, header + REQUEST), /200 OK/, 'the next one is served');
  const counts = {
    'proxy_proto.strict.versions.v1.found': 3,
    'proxy_proto.strict.versions.v1.error': 1,
    'proxy_proto.strict.versions.v2.found': 1,
    'proxy_proto.strict.versions.v2.disallowed': 1,
    'proxy_proto.strict.not_found_disallowed': 2,
    'proxy_proto.not_found_allowed': 1,
    'proxy_proto.versions.v2.found': 1,
    downstream_cx_proxy_proto_error: 4,
    'listener.slow.downstream_pre_cx_timeout': 1,
    'listener.strict.downstream_pre_cx_active': 0,
  };
  for (const [name, value] of Object.entries(counts)) assert.equal(await proxy.stat(name), value, name);
});
