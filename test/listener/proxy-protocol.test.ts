import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProxyHeader } from '../../proxy/listener/proxy-protocol.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V4 = Buffer.from([10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 80]);

function v2(kind: number, transport: number, body: Buffer): Buffer {
  const head = Buffer.from([kind, transport, body.length >> 8, body.length & 255]);
  return Buffer.concat([SIGNATURE, head, body]);
}

const text = (line: string): Buffer => Buffer.from(line, 'latin1');
const tcp4 = { source: { address: '10.0.0.1', port: 12_345 }, destination: { address: '10.0.0.2', port: 80 } };

for (const [name, bytes, expected] of [
  ['version 1', text('PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\r\nhello'), { version: 1, length: 39, ...tcp4 }],
  ['version 1, nobody', text('PROXY UNKNOWN a b c\r\n'), { version: 1, source: undefined }],
  ['version 1, IPv6', text('PROXY TCP6 ::1 ::2 1 2\r\n'), { source: { address: '::1', port: 1 } }],
  ['version 2', v2(0x21, 0x11, V4), { version: 2, length: 28, ...tcp4 }],
  ['version 2 of a datagram', v2(0x21, 0x12, V4), { version: 2, ...tcp4 }],
  ['version 2, local', v2(0x20, 0, Buffer.alloc(3)), { version: 2, length: 19, source: undefined }],
  ['version 2 with a TLV', v2(0x21, 0x11, Buffer.concat([V4, Buffer.from([4, 0, 1, 9])])), { length: 32, ...tcp4 }],
  [
    'version 2, IPv6',
    v2(0x21, 0x21, Buffer.concat([Buffer.from('20010db8000000000000000000000001', 'hex'), Buffer.alloc(20)])),
    { source: { address: '2001:db8::1', port: 0 }, destination: { address: '::', port: 0 } },
  ],
] as const) {
  test(`${name} is read, in pieces of one byte too`, () => {
    const whole = readProxyHeader(bytes);
    assert.equal(whole.kind, 'header');
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(Reflect.get(whole, key), value, key);
    const length = whole.kind === 'header' ? whole.length : 0;
    for (let at = 1; at < length; at++)
      assert.equal(readProxyHeader(bytes.subarray(0, at)).kind, 'more', `after ${at}`);
    assert.deepEqual(readProxyHeader(bytes.subarray(0, length)), whole);
  });
}

for (const [name, bytes, kind] of [
  ['other bytes', text('GET / HTTP/1.1\r\n'), 'none'],
  ['a word that only begins alike', text('PROXYx\r\n'), 'none'],
  ['a line without an end', text(`PROXY ${'a'.repeat(200)}`), 'endless'],
  ['a port that is none', text('PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n'), 'error'],
  ['an address of the other family', text('PROXY TCP4 ::1 ::2 1 2\r\n'), 'error'],
  ['a protocol that nobody knows', text('PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n'), 'error'],
  ['version 3', v2(0x31, 0x11, V4), 'error'],
  ['a command that nobody knows', v2(0x22, 0x11, V4), 'error'],
  ['a UNIX socket', v2(0x21, 0x31, Buffer.alloc(216)), 'error'],
  ['addresses that are too short', v2(0x21, 0x11, Buffer.alloc(3)), 'error'],
  ['a TLV that is longer than the header', v2(0x21, 0x11, Buffer.concat([V4, Buffer.from([4, 0, 9, 9])])), 'error'],
] as const) {
  test(`${name}: ${kind}`, () => assert.equal(readProxyHeader(bytes).kind, kind));
}
