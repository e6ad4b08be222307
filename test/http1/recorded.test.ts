import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderMap } from '../../proxy/http/headers.ts';
import { type Mutant, mutants, recordings, usedMemory } from '../recordings.ts';
import { Client, LIMITS, request, SeenResponse, Server } from './fakes.ts';
import { fetch, serve } from './feeding.ts';

const UP = recordings('h1', 'up');
const DOWN = recordings('h1', 'down');

/** The bytes in pieces of the sizes given, over and over. */
function pieces({ bytes, cuts }: Pick<Mutant, 'bytes' | 'cuts'>): string[] {
  const parts: string[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = cuts[i % cuts.length] ?? 1;
    parts.push(bytes.toString('latin1', at, at + size));
    at += size;
  }
  return parts;
}

/** Whether a cut falls between a response and what follows it decides whether its connection could be used again for a moment. */
const response = (parts: readonly string[], ends: boolean) =>
  fetch(parts, ends, LIMITS).split('\n').slice(0, -3).join('\n');

describe('recorded HTTP/1.1', () => {
  it('is understood', () => {
    assert.ok(UP.length >= 8 && UP.length === DOWN.length);
    for (const { name, bytes } of UP) {
      const server = new Server();
      server.answer = ({ complete, stream }) =>
        complete && stream.sendHead({ status: 204, headers: new HeaderMap() }, true);
      server.connection.receive(bytes);
      assert.deepEqual(server.faults, [], name);
      assert.ok(
        server.requests.every(({ complete }) => complete || name === 'h1-websocket'),
        name,
      );
      assert.ok(server.requests.length > 0, name);
    }
    for (const { name, bytes } of DOWN) {
      const client = new Client({}, { enableTrailers: true });
      const seen = new SeenResponse();
      const head = request(name === 'h1-websocket' ? { protocol: 'websocket' } : {});
      client.connection.newStream(seen).sendHead(head, true);
      client.connection.receive(bytes);
      assert.ok(seen.complete || name === 'h1-websocket', name);
      assert.match(seen.text, / (200|101) /, name);
    }
  });

  it('comes to the same requests and answers cut anywhere, whatever is changed in it', () => {
    fc.assert(
      fc.property(mutants(UP), fc.constantFrom('at once' as const, 'at the end' as const), (mutant, mode) => {
        const found = serve(pieces(mutant), mode, LIMITS);
        assert.equal(found, serve([mutant.bytes.toString('latin1')], mode, LIMITS));
      }),
      { seed: 31, numRuns: 3000 },
    );
  });

  it('comes to the same response cut anywhere, whatever is changed in it', () => {
    fc.assert(
      fc.property(mutants(DOWN), fc.boolean(), (mutant, ends) => {
        assert.equal(response(pieces(mutant), ends), response([mutant.bytes.toString('latin1')], ends));
      }),
      { seed: 32, numRuns: 3000 },
    );
  });

  it('leaves nothing behind when its connection is gone', () => {
    const some = (seed: number, count: number) => {
      for (const mutant of fc.sample(mutants(UP), { seed, numRuns: count })) serve(pieces(mutant), 'at once', LIMITS);
      for (const mutant of fc.sample(mutants(DOWN), { seed, numRuns: count })) fetch(pieces(mutant), true, LIMITS);
    };
    some(1, 1000);
    const before = usedMemory();
    for (let seed = 2; seed < 6; seed++) some(seed, 1000);
    const grown = usedMemory() - before;
    assert.ok(grown < 8 << 20, `${grown} bytes more`);
  });
});
