import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ChannelCredentials } from '@grpc/grpc-js';
import { controlPlaneEndpoints, targetOf } from '../../xds-client/control-plane.ts';
import type { Cluster } from '../../xds-client/model/cluster.ts';
import { assignment, cluster, upstreamTls } from './models.ts';

const two = (changes: Partial<Cluster> = {}) => {
  const [first] = assignment('x', 1, 2).localities;
  const [second] = assignment('x', 3).localities;
  assert.ok(first !== undefined && second !== undefined);
  const localities = [{ ...first, priority: 1 }, second];
  return cluster('x', { discovery: { kind: 'static', localities }, ...changes });
};
const NONE = { authority: undefined, credentials: () => assert.fail('plaintext') };

describe('the endpoints of a control plane', () => {
  it('are taken by priority, the next one after each failure, and round', () => {
    const endpoint = controlPlaneEndpoints({ cluster: two(), ...NONE });
    assert.deepEqual(
      [0, 1, 2, 3].map((failures) => endpoint(failures).target),
      ['ipv4:127.0.0.1:3', 'ipv4:127.0.0.1:1', 'ipv4:127.0.0.1:2', 'ipv4:127.0.0.1:3'],
    );
  });

  it('get their credentials anew for each attempt, and a server name over TLS', () => {
    let asked = 0;
    const secure = two({ transportSocket: { kind: 'tls', tls: upstreamTls('cert') } });
    const credentials = () => {
      asked++;
      return ChannelCredentials.createInsecure();
    };
    const endpoint = controlPlaneEndpoints({ cluster: secure, authority: 'istiod', credentials });
    assert.deepEqual([endpoint(0).serverName, endpoint(0).authority, asked], ['localhost', 'istiod', 2]);
    const named = { kind: 'tls', tls: { ...upstreamTls('cert'), sni: 'istiod.istio-system.svc' } } as const;
    const other = controlPlaneEndpoints({
      cluster: two({ transportSocket: named }),
      authority: undefined,
      credentials,
    });
    assert.equal(other(0).serverName, 'istiod.istio-system.svc');
  });

  it('are not found by the control plane itself', () => {
    assert.throws(() => controlPlaneEndpoints({ cluster: cluster('x'), ...NONE }), /cluster "x": .* not eds/);
    const empty = cluster('x', { discovery: { kind: 'static', localities: [] } });
    assert.throws(() => controlPlaneEndpoints({ cluster: empty, ...NONE }), /no endpoint/);
  });

  it('are targets of gRPC', () => {
    assert.equal(targetOf({ kind: 'pipe', path: '/run/xds.sock' }), 'unix:/run/xds.sock');
    assert.equal(targetOf({ kind: 'socket', host: '::1', port: 7 }), 'ipv6:[::1]:7');
    assert.equal(targetOf({ kind: 'socket', host: 'istiod.svc', port: 7 }), 'dns:///istiod.svc:7');
  });
});
