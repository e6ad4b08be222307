import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HpackDecoder } from '../../proxy/http2/hpack-decoder.ts';
import { HpackEncoder } from '../../proxy/http2/hpack-encoder.ts';
import { huffmanDecode, huffmanEncode, huffmanLength } from '../../proxy/http2/huffman.ts';

function decode(decoder: HpackDecoder, hex: string): string[] | undefined {
  const block = Buffer.from(hex, 'hex');
  if (!decoder.decode(block, 0, block.length, 1 << 20, 1000)) return undefined;
  return decoder.fields.slice(0, decoder.count).map(({ name, value }) => `${name.text}: ${value}`);
}

const REQUESTS = [
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'],
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'],
  [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value'],
];
const PLAIN = [
  '828684410f7777772e6578616d706c652e636f6d',
  '828684be58086e6f2d6361636865',
  '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
];
const HUFFMAN = [
  '828684418cf1e3c2e5f23a6ba0ab90f4ff',
  '828684be5886a8eb10649cbf',
  '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
];
const RESPONSES = [
  '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
  '4883640effc1c0bf',
  '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
];

describe('the examples of RFC 7541', () => {
  it('decodes requests without the Huffman code (C.3)', () => {
    const decoder = new HpackDecoder(4096);
    assert.deepEqual(
      PLAIN.map((hex) => decode(decoder, hex)),
      REQUESTS,
    );
    assert.equal(decoder.tableSize, 164);
  });

  it('decodes requests with the Huffman code (C.4)', () => {
    const decoder = new HpackDecoder(4096);
    assert.deepEqual(
      HUFFMAN.map((hex) => decode(decoder, hex)),
      REQUESTS,
    );
    assert.equal(decoder.tableSize, 164);
  });

  it('decodes responses whose table is too small for all of them (C.6)', () => {
    const decoder = new HpackDecoder(256);
    decoder.acknowledged();
    assert.deepEqual(
      RESPONSES.map((hex) => decode(decoder, hex)),
      [
        [
          ':status: 302',
          'cache-control: private',
          'date: Mon, 21 Oct 2013 20:13:21 GMT',
          'location: https://www.example.com',
        ],
        [
          ':status: 307',
          'cache-control: private',
          'date: Mon, 21 Oct 2013 20:13:21 GMT',
          'location: https://www.example.com',
        ],
        [
          ':status: 200',
          'cache-control: private',
          'date: Mon, 21 Oct 2013 20:13:22 GMT',
          'location: https://www.example.com',
          'content-encoding: gzip',
          'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
        ],
      ],
    );
    assert.equal(decoder.tableSize, 215);
  });

  it('decodes integers of several bytes (C.1.2)', () => {
    // 1337 with a five-bit prefix: a table size.
    const decoder = new HpackDecoder(4096);
    assert.deepEqual(decode(decoder, '3f9a0a82'), [':method: GET']);
  });
});

describe('the Huffman code', () => {
  it('gives back what it was given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = Buffer.from(bytes).toString('latin1');
        const coded = Buffer.alloc(huffmanLength(text));
        assert.equal(huffmanEncode(text, coded, 0), coded.length);
        const back = Buffer.alloc(coded.length * 2 + 1);
        const length = huffmanDecode(coded, 0, coded.length, back);
        assert.equal(back.toString('latin1', 0, length), text);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  for (const [what, hex] of [
    ['a padding of more than seven bits', '07ff'],
    ['a padding that is not all ones', '00'],
    ['EOS', '3fffffff'],
    ['EOS after a symbol', '1fffffffff'],
  ] as const) {
    it(`refuses ${what}`, () => {
      const coded = Buffer.from(hex, 'hex');
      const valid = what === 'a padding that is not all ones' ? Buffer.from('18', 'hex') : coded;
      assert.equal(huffmanDecode(valid, 0, valid.length, Buffer.alloc(20)), -1);
    });
  }
});

describe('blocks that no encoder makes', () => {
  for (const [what, hex] of [
    ['index 0', '80'],
    ['an index beyond the tables', 'be'],
    ['a name index beyond the tables', '7f20'],
    ['an integer that never ends', 'ffffffffffffffffff'],
    ['a string longer than the block', '000561'],
    ['a name and no value', '000161'],
    ['a size update after a field', '8220'],
    ['a size update above what we allow', '3fe2ff03'],
    ['a literal cut off after its first byte', '40'],
  ] as const) {
    it(`refuses ${what}`, () => assert.equal(decode(new HpackDecoder(4096), hex), undefined));
  }

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        new HpackDecoder(4096).decode(Buffer.from(bytes), 0, bytes.length, 1000, 20);
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  it('keeps to its limits when one byte stands for many', () => {
    const decoder = new HpackDecoder(4096);
    const value = Buffer.alloc(3000, 97);
    const first = Buffer.concat([Buffer.from('400178', 'hex'), Buffer.from('7fb916', 'hex'), value]);
    const bomb = Buffer.concat([first, Buffer.alloc(10_000, 0xbe)]);
    assert.equal(decoder.decode(bomb, 0, bomb.length, 60_000, 100), true);
    assert.equal(decoder.overflowed, true);
    assert.ok(decoder.count <= 20);
    // The table is still the sender's.
    assert.deepEqual(decode(decoder, 'be')?.length, 1);
  });
});

const name = fc.constantFrom(':path', ':status', 'accept', 'x-a', 'x-b', 'cookie', 'authorization', 'content-length');
const value = fc.oneof(
  fc.constantFrom('', '/', '200', 'v', 'a longer value of thirty two by'),
  fc.string({ maxLength: 40 }),
);

describe('encoder and decoder', () => {
  it('agree over many blocks, whatever the table sizes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.array(fc.tuple(name, value), { maxLength: 12 }), fc.option(fc.nat(5000))), {
          maxLength: 40,
        }),
        (blocks) => {
          const encoder = new HpackEncoder(4096);
          const decoder = new HpackDecoder(4096);
          for (const [fields, size] of blocks) {
            // The decoder allows 4096 all along: a smaller limit of the encoder's is announced in the block.
            if (size !== null) encoder.resize(size);
            let bound = HpackEncoder.beginBound;
            for (const [n, v] of fields) bound += HpackEncoder.bound(n, v);
            const block = Buffer.alloc(bound);
            let at = encoder.begin(block, 0);
            for (const [n, v] of fields) at = encoder.encode(block, at, n, v);
            assert.ok(at <= bound);
            assert.ok(decoder.decode(block, 0, at, 1 << 20, 1000));
            assert.deepEqual(
              decoder.fields.slice(0, decoder.count).map((field) => [field.name.text, field.value]),
              fields.map(([n, v]) => [n, Buffer.from(v, 'latin1').toString('latin1')]),
            );
          }
        },
      ),
      { seed: 3, numRuns: 200 },
    );
  });

  it('agree on a table larger or smaller than the default, before and after the peer knows of it', () => {
    for (const size of [0, 100, 65_536]) {
      const encoder = new HpackEncoder(65_536);
      const decoder = new HpackDecoder(size);
      for (let i = 0; i < 400; i++) {
        if (i === 200) {
          decoder.acknowledged();
          encoder.resize(size);
        }
        const block = Buffer.alloc(400);
        let at = encoder.begin(block, 0);
        for (const n of ['x-a', 'x-a', `x-${i % 150}`]) at = encoder.encode(block, at, n, `value ${i % 150}`);
        assert.ok(decoder.decode(block, 0, at, 1 << 20, 1000));
        assert.equal(decoder.fields[2]?.name.text, `x-${i % 150}`);
        assert.equal(decoder.fields[2]?.value, `value ${i % 150}`);
      }
    }
  });

  it('sends a field that repeats as one byte from the third time on', () => {
    const encoder = new HpackEncoder(4096);
    const block = Buffer.alloc(200);
    const lengths = [1, 2, 3].map(() => encoder.encode(block, 0, 'user-agent', 'a client of some kind'));
    assert.deepEqual(lengths, [24, 23, 1]);
  });

  it('never puts a secret into a table', () => {
    const encoder = new HpackEncoder(4096);
    const block = Buffer.alloc(200);
    for (let i = 0; i < 4; i++) {
      encoder.encode(block, 0, 'authorization', 'Bearer abc');
      assert.equal(block[0], 0x1f);
    }
  });

  it('keeps a field out of tables that its sender kept out of them', () => {
    // x-card: 4111, never indexed.
    assert.deepEqual(decode(new HpackDecoder(4096), '1006782d636172640434313131'), ['x-card: 4111']);
    const encoder = new HpackEncoder(4096);
    const block = Buffer.alloc(200);
    for (let i = 0; i < 3; i++) {
      encoder.encode(block, 0, 'x-card', '4111');
      assert.equal(block[0], 0x10);
    }
  });
});
