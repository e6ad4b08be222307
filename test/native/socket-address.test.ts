import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalIp, readSocketAddress, writeSocketAddress } from '../../proxy/native/socket-address.ts';

test('addresses come back as they were written', () => {
  for (const address of ['10.1.2.254', '0.0.0.0', 'fd00:1::2', '::', '::1', '2001:db8:1:2:3:4:5:6']) {
    assert.deepEqual(readSocketAddress(writeSocketAddress({ address, port: 15_006 })), { address, port: 15_006 });
  }
});

test('IPv6 is written the shortest way', () => {
  assert.equal(canonicalIp('FD00:0:0::0002'), 'fd00::2');
  assert.equal(canonicalIp('10.0.0.1'), '10.0.0.1');
  const mapped = writeSocketAddress({ address: '::ffff:10.0.0.1', port: 1 });
  assert.equal(mapped.subarray(8, 24).toString('hex'), '00000000000000000000ffff0a000001');
});

test('another family is no address', () => {
  assert.equal(readSocketAddress(Buffer.alloc(28)), undefined);
});
