import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import fc from 'fast-check';
import { MAX_HELLO_BYTES, readClientHello } from '../../proxy/listener/client-hello.ts';
import { readHttpPreface } from '../../proxy/listener/http-preface.ts';

/** The first flight of a real client. */
function hello(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, callback) => {
        resolve(chunk);
        callback();
      },
    });
    connect({ ...options, socket: wire }).on('error', () => undefined);
  });
}

/** The same handshake message in records of `size` bytes. */
function fragmented(record: Buffer, size: number): Buffer {
  const message = record.subarray(5);
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size);
    parts.push(Buffer.from([22, 3, 1, piece.length >> 8, piece.length & 255]), piece);
  }
  return Buffer.concat(parts);
}

const OPTIONS = { servername: 'Settlement.Pay.Example', ALPNProtocols: ['istio', 'h2'] };
const told = (bytes: Buffer): { readonly serverName: string; readonly alpn: readonly string[] } => {
  const result = readClientHello(bytes);
  assert.equal(result.kind, 'hello');
  return result.kind === 'hello'
    ? { serverName: result.hello.serverName, alpn: result.hello.alpn }
    : { serverName: '', alpn: [] };
};
const EXPECTED = { serverName: 'settlement.pay.example', alpn: ['istio', 'h2'] };

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`server name and protocols are read from a ${maxVersion} hello`, async () => {
    const bytes = await hello({ ...OPTIONS, maxVersion });
    assert.deepEqual(told(bytes), EXPECTED);
    const plain = await hello({ maxVersion });
    assert.deepEqual(told(plain), { serverName: '', alpn: [] });
  });
}

test('every beginning of a hello asks for more, however it is cut into records', async () => {
  const bytes = await hello(OPTIONS);
  for (const whole of [bytes, fragmented(bytes, 1), fragmented(bytes, 100)]) {
    for (let end = 0; end < whole.length; end += whole === bytes ? 1 : 7) {
      assert.equal(readClientHello(whole.subarray(0, end)).kind, 'more', `after ${end} bytes`);
    }
    assert.deepEqual(told(whole), EXPECTED);
  }
});

test('what is no hello is told apart by its first bytes', () => {
  for (const bytes of [
    'GET / HTTP/1.1\r\n',
    '\x16\x02',
    '\x15\x03\x01\x00\x02',
    '\x16\x03\x01\x00\x00',
    '\x16\x03\x01\x00\x01\x02',
  ]) {
    assert.equal(readClientHello(Buffer.from(bytes, 'latin1')).kind, 'not-tls', JSON.stringify(bytes));
  }
});

test('a hello that promises more than the bound is not waited for', () => {
  const promise = Buffer.from([22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]);
  assert.equal(readClientHello(promise).kind, 'too-large');
  const drip = Buffer.alloc(MAX_HELLO_BYTES + 6);
  for (let at = 0; at + 6 <= drip.length; at += 6) drip.set([22, 3, 1, 0, 1, 1], at);
  assert.equal(readClientHello(drip).kind, 'too-large');
});

test('altered hellos never throw', async () => {
  const bytes = await hello(OPTIONS);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      (changes) => {
        const altered = Buffer.from(bytes);
        for (const [at, value] of changes) altered[at] = value;
        assert.ok(['more', 'not-tls', 'too-large', 'hello'].includes(readClientHello(altered).kind));
      },
    ),
    { seed: 4 },
  );
});

test('HTTP is told by its first line', () => {
  const cases = [
    ['GET / HTTP/1.1\r\nhost: a\r\n\r\n', 'http/1.1'],
    ['M-SEARCH * HTTP/1.1\r\n', 'http/1.1'],
    ['GET / HTTP/1.0\n', 'http/1.0'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'h2c'],
    ['PRI * HTTP/2.0\r\n', 'more'],
    ['', 'more'],
    ['GE', 'more'],
    ['GET /a/long/path', 'more'],
    ['GET / HTTP/3.0\r\n', 'not-http'],
    ['GET\r\n', 'not-http'],
    ['\x00\x01', 'not-http'],
    [' GET / HTTP/1.1\r\n', 'not-http'],
    ['A'.repeat(40), 'not-http'],
    [`GET /${'a'.repeat(16 * 1024)}`, 'not-http'],
  ] as const;
  for (const [text, expected] of cases) assert.equal(readHttpPreface(Buffer.from(text)), expected, text.slice(0, 40));
});
