import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UnfitIdentity } from '../../certs/source/contract.ts';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { readBundles, readSvids } from '../../certs/source/spiffe-response.ts';
import { encodeMessage } from '../../protos/index.ts';
import { derOf, svid } from './workload-api-server.ts';

const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const ID = 'spiffe://td/a';
const GOOD = encodeMessage('X509SVIDResponse', {
  svids: [svid(ID, ca.issue({ spiffeId: ID }), ca)],
  federated_bundles: { 'spiffe://partner': derOf(ca.rootPem) },
});

/** Reads, or refuses with a reason that holds nothing of a key. Anything else thrown fails the test. */
function readOrRefused(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    assert.ok(error instanceof UnfitIdentity, String(error));
    assert.ok(!error.message.includes('PRIVATE'));
    return false;
  }
}

test('whatever bytes come, they are read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      readOrRefused(() => readSvids(Buffer.from(bytes), Date.now()));
      readOrRefused(() => readBundles(Buffer.from(bytes)));
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('a message that was changed somewhere is read or refused', () => {
  assert.ok(readOrRefused(() => readSvids(GOOD, Date.now())));
  let refused = 0;
  fc.assert(
    fc.property(fc.nat(GOOD.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(GOOD);
      changed[at] = (changed[at] ?? 0) ^ flip;
      if (!readOrRefused(() => readSvids(changed, Date.now()))) refused++;
    }),
    { seed: 2, numRuns: 300 },
  );
  // the rest hit the roots: nobody holds those against their own signature
  assert.ok(refused > 100, `${refused} of 300`);
});

test('a message that was cut off is refused, or lacks only its last fields', () => {
  for (let length = 0; length < GOOD.length; length += 13) {
    const cut = GOOD.subarray(0, length);
    readOrRefused(() => readSvids(cut, Date.now()));
  }
  assert.ok(!readOrRefused(() => readSvids(GOOD.subarray(0, 100), Date.now())));
});
