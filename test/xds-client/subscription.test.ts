import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Any, decodeMessage, encodeMessage } from '../../protos/index.ts';
import { RESOURCE_TYPES, RESOURCE_WRAPPER, type ResourceKind } from '../../xds-client/resource-types.ts';
import { SotwSubscription, type Wanted } from '../../xds-client/subscription.ts';
import { type DiscoveryRequest, type DiscoveryResponse, readWrapped } from '../../xds-client/wire.ts';

/** Its content is the second field; `bad` is refused. */
function resource(kind: ResourceKind, name: string, content = ''): Any {
  const { typeUrl } = RESOURCE_TYPES[kind];
  const field = (number: number, text: string): Buffer =>
    Buffer.concat([Buffer.from([number * 8 + 2, text.length]), Buffer.from(text)]);
  return { type_url: typeUrl, value: Buffer.concat([field(1, name), field(2, content)]) };
}

function wrapped(name: string, inner: Any | undefined, options: { ttlS?: number; version?: string } = {}): Any {
  return {
    type_url: RESOURCE_WRAPPER,
    value: encodeMessage('envoy.service.discovery.v3.Resource', {
      name,
      ...(options.version === undefined ? {} : { version: options.version }),
      ...(inner === undefined ? {} : { resource: inner }),
      ...(options.ttlS === undefined ? {} : { ttl: { seconds: options.ttlS } }),
    }),
  };
}

class Bench {
  readonly kind: ResourceKind;
  readonly subscription: SotwSubscription<string>;
  now = 0;
  decoded = 0;
  private nonce = 0;

  constructor(kind: ResourceKind, wanted: Wanted | readonly string[] | '*', open = true) {
    this.kind = kind;
    this.subscription = new SotwSubscription<string>({
      type: RESOURCE_TYPES[kind],
      decode: (any) => {
        this.decoded++;
        const text = any.value.toString('latin1');
        return text.includes('bad')
          ? { ok: false, errors: [{ path: 'filter_chains[0].name', message: 'is bad' }], unsupported: [] }
          : { ok: true, value: text, unsupported: [] };
      },
      unwrap: (bytes) => readWrapped(decodeMessage('envoy.service.discovery.v3.Resource', bytes)),
    });
    this.want(wanted);
    if (open) this.subscription.streamOpened(this.now);
  }

  want(wanted: Wanted | readonly string[] | '*'): void {
    const all: Wanted =
      wanted === '*'
        ? { wildcard: true, names: new Map() }
        : 'wildcard' in wanted
          ? wanted
          : { wildcard: false, names: new Map(wanted.map((name) => [name, 15_000])) };
    this.subscription.want(all, this.now);
  }

  receive(version: string, ...resources: Any[]) {
    return this.subscription.receive(this.response(version, resources), this.now);
  }

  response(version: string, resources: Any[]): DiscoveryResponse {
    const { typeUrl } = RESOURCE_TYPES[this.kind];
    return { version, typeUrl, nonce: `n${++this.nonce}`, resources, server: '' };
  }

  request(): DiscoveryRequest | undefined {
    return this.subscription.takeRequest();
  }

  held(): string[] {
    return [...this.subscription.held().keys()];
  }
}

describe('acknowledgements', () => {
  it('3: acks every response with its version and nonce', () => {
    const bench = new Bench('cluster', '*');
    assert.deepEqual(bench.request(), {
      typeUrl: RESOURCE_TYPES.cluster.typeUrl,
      version: '',
      names: [],
      nonce: '',
      error: undefined,
    });
    for (const version of ['1', '2', '2']) {
      bench.receive(version, resource('cluster', 'a'));
      const ack = bench.request();
      assert.equal(ack?.version, version);
      assert.equal(ack?.error, undefined);
      assert.equal(bench.request(), undefined, 'once');
    }
  });

  it('3: acks a response of a type without a subscription left', () => {
    const bench = new Bench('endpoints', ['a']);
    bench.request();
    bench.want([]);
    assert.deepEqual(bench.request()?.names, []);
    bench.receive('1', resource('endpoints', 'a'));
    const ack = bench.request();
    assert.deepEqual([ack?.version, ack?.nonce, ack?.names], ['1', 'n1', []]);
    assert.deepEqual(bench.held(), []);
  });

  it('what proves useless after its ACK is refused, and tried again in a newer version only', () => {
    const bench = new Bench('listener', '*');
    bench.receive('1', resource('listener', 'a', 'good'));
    bench.request();
    assert.equal(bench.subscription.withdraw('a', 'the port is in use', false, 0), true);
    assert.equal(bench.request()?.error, 'LDS "a": the port is in use');
    assert.deepEqual([bench.held(), bench.subscription.status('a')], [[], 'NACKED']);
    assert.deepEqual(bench.receive('1', resource('listener', 'a', 'good')).changed, []);
    assert.equal(bench.request()?.error, 'LDS "a": the port is in use');
    assert.equal(bench.receive('2', resource('listener', 'a', 'good')).changed.length, 1);
    assert.equal(bench.request()?.error, undefined);
    assert.equal(bench.subscription.withdraw('b', 'is not held', false, 0), false);
  });

  it('what proves useless while an earlier content serves is still held: its removal has to be seen', () => {
    const bench = new Bench('listener', '*');
    bench.receive('1', resource('listener', 'a', 'good'));
    bench.subscription.withdraw('a', 'the port is in use', true, 0);
    assert.deepEqual(bench.held(), ['a']);
    assert.equal(bench.receive('2', resource('listener', 'a', 'good')).errors[0]?.message, 'the port is in use');
    assert.equal(bench.receive('3', resource('listener', 'a', 'other')).changed.length, 1);
    assert.deepEqual(bench.receive('4').removed, ['a']);
  });

  it('5: a NACK has the last good version, the new nonce, and names resource and field of every error', () => {
    const bench = new Bench('listener', '*');
    bench.receive('1', resource('listener', 'a', 'good'));
    bench.request();
    bench.receive('2', resource('listener', 'a', 'bad'), resource('listener', 'b', 'bad'));
    const nack = bench.request();
    assert.equal(nack?.version, '1');
    assert.equal(nack?.nonce, 'n2');
    assert.equal(nack?.error, 'LDS "a": filter_chains[0].name: is bad; LDS "b": filter_chains[0].name: is bad');
  });

  it('6: a change of names after a NACK is not another NACK', () => {
    const bench = new Bench('routes', ['a']);
    bench.receive('1', resource('routes', 'a', 'bad'));
    assert.notEqual(bench.request()?.error, undefined);
    bench.want(['a', 'b']);
    const request = bench.request();
    assert.deepEqual(
      [request?.error, request?.nonce, request?.version, request?.names],
      [undefined, 'n1', '', ['a', 'b']],
    );
  });

  it('7: applies the good resources of a refused response, and keeps the last good content of the bad', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', resource('cluster', 'a', 'one'));
    const received = bench.receive('2', resource('cluster', 'a', 'bad'), resource('cluster', 'b', 'two'));
    assert.deepEqual(
      received.changed.map(({ name }) => name),
      ['b'],
    );
    assert.deepEqual(received.removed, []);
    assert.match(bench.subscription.held().get('a')?.value ?? '', /one/);
    assert.equal(bench.subscription.status('a'), 'NACKED');
    assert.equal(bench.subscription.refused().get('a')?.version, '2');
  });

  it('8: refuses a name that comes twice, and lets neither count', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', resource('cluster', 'a', 'one'));
    const received = bench.receive('2', resource('cluster', 'a', 'two'), resource('cluster', 'a', 'three'));
    assert.match(bench.request()?.error ?? '', /CDS "a": is in the response more than once/);
    assert.deepEqual([received.changed, received.removed], [[], []]);
    assert.match(bench.subscription.held().get('a')?.value ?? '', /one/);
  });

  it('9: ignores what was not asked for, without decoding it', () => {
    const bench = new Bench('endpoints', ['a']);
    const received = bench.receive('1', resource('endpoints', 'other', 'bad'), resource('endpoints', 'a'));
    assert.deepEqual(received.errors, []);
    assert.equal(bench.decoded, 1);
    assert.deepEqual(bench.held(), ['a']);
  });

  it('12: refuses a resource of another type than the response', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', resource('listener', 'a'));
    assert.match(bench.request()?.error ?? '', /CDS "resources\[0\]": is of type ".*Listener", expected ".*Cluster"/);
  });

  for (const [what, bytes] of [
    ['garbage', Buffer.from('ffffffffffffffffffffff', 'hex')],
    ['a length beyond the end', Buffer.from('0a7f61', 'hex')],
    ['a group', Buffer.from('0b', 'hex')],
    ['no name', Buffer.from('', 'hex')],
  ] as const) {
    it(`refuses ${what} for a resource and deletes nothing by it`, () => {
      const bench = new Bench('cluster', '*');
      bench.receive('1', resource('cluster', 'a'));
      const received = bench.receive('2', { type_url: RESOURCE_TYPES.cluster.typeUrl, value: bytes });
      assert.equal(received.errors.length, 1);
      assert.deepEqual(bench.held(), ['a']);
      assert.match(bench.request()?.error ?? '', /resources\[0\]/);
    });
  }

  it('bounds what it says of a hostile push', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', ...Array.from({ length: 5_000 }, (_, index) => resource('cluster', `c${index}`, 'bad')));
    const error = bench.request()?.error ?? '';
    assert.ok(error.length < 17_000, `${error.length}`);
    assert.match(error, /; and \d+ more$/);
  });
});

describe('what absence means', () => {
  it('13: deletes for LDS and CDS', () => {
    for (const kind of ['listener', 'cluster'] as const) {
      const bench = new Bench(kind, '*');
      bench.receive('1', resource(kind, 'a'), resource(kind, 'b'));
      assert.deepEqual(bench.receive('2', resource(kind, 'b')).removed, ['a']);
      assert.deepEqual(bench.held(), ['b']);
    }
  });

  it('13: is nothing for RDS, EDS and SDS', () => {
    for (const kind of ['routes', 'endpoints', 'secret'] as const) {
      const bench = new Bench(kind, ['a', 'b']);
      bench.receive('1', resource(kind, 'a'), resource(kind, 'b'));
      assert.deepEqual(bench.receive('2', resource(kind, 'b', 'new')).removed, []);
      assert.deepEqual(bench.held(), ['a', 'b']);
    }
  });

  it('14: an empty response deletes all, unless deletion is ignored', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', resource('cluster', 'a'));
    assert.deepEqual(bench.receive('2').removed, ['a']);
  });
});

describe('names', () => {
  it('15: a wildcard is an empty list until an explicit name was sent, then "*"', () => {
    const bench = new Bench('cluster', '*');
    assert.deepEqual(bench.request()?.names, []);
    bench.want({ wildcard: true, names: new Map([['a', 0]]) });
    assert.deepEqual(bench.request()?.names, ['*', 'a']);
    bench.want('*');
    assert.deepEqual(bench.request()?.names, ['*']);
  });

  it('16: unsubscribing is the full list without the name', () => {
    const bench = new Bench('endpoints', ['a', 'b']);
    assert.deepEqual(bench.request()?.names, ['a', 'b']);
    bench.want(['b']);
    assert.deepEqual(bench.request()?.names, ['b']);
    bench.want(['b']);
    assert.equal(bench.request(), undefined, 'nothing changed');
  });

  it('says nothing for a type of which nothing was ever wanted', () => {
    const bench = new Bench('routes', []);
    assert.equal(bench.request(), undefined);
  });

  it('18, 4: reconnects with the last version, no nonce, all names', () => {
    const bench = new Bench('endpoints', ['a', 'b']);
    bench.receive('7', resource('endpoints', 'a'));
    bench.request();
    bench.subscription.streamClosed();
    assert.equal(bench.request(), undefined);
    bench.subscription.streamOpened(0);
    const request = bench.request();
    assert.deepEqual([request?.version, request?.nonce, request?.names], ['7', '', ['a', 'b']]);
    assert.deepEqual(bench.held(), ['a'], '41: kept while disconnected');
  });

  it('46: takes xdstp names whatever the order of their parameters, and members of a wanted collection', () => {
    const bench = new Bench('routes', ['xdstp://a/T/r?x=1&y=2', 'xdstp://a/T/all/*']);
    const other = { type_url: RESOURCE_TYPES.routes.typeUrl, value: resource('routes', 'r').value };
    bench.receive('1', wrapped('xdstp://a/T/r?y=2&x=1', other), wrapped('xdstp://a/T/all/one', other));
    assert.deepEqual(bench.held(), ['xdstp://a/T/r?x=1&y=2', 'xdstp://a/T/all/one']);
  });
});

describe('time', () => {
  it('17: a name not sent 15 s after the stream started does not exist, and may still come', () => {
    const bench = new Bench('routes', ['a', 'b'], false);
    assert.equal(bench.subscription.nextDeadline(), undefined, 'no stream, no timer');
    bench.now = 60_000;
    bench.subscription.streamOpened(bench.now);
    bench.receive('1', resource('routes', 'a'));
    assert.equal(bench.subscription.nextDeadline(), 75_000);
    assert.deepEqual(bench.subscription.expire(74_999).absent, []);
    assert.deepEqual(bench.subscription.expire(75_000).absent, ['b']);
    assert.equal(bench.subscription.status('b'), 'DOES_NOT_EXIST');
    bench.receive('2', resource('routes', 'b'));
    assert.equal(bench.subscription.status('b'), 'ACKED');
  });

  it('17: the clock stops with the stream; a timeout of 0 waits for ever', () => {
    const bench = new Bench('routes', ['a']);
    assert.equal(bench.subscription.nextDeadline(), 15_000);
    bench.subscription.streamClosed();
    assert.equal(bench.subscription.nextDeadline(), undefined);
    const patient = new Bench('routes', { wildcard: false, names: new Map([['a', 0]]) });
    assert.equal(patient.subscription.nextDeadline(), undefined);
  });

  it('19: takes the resource out of its wrapper', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', wrapped('a', resource('cluster', 'a')));
    assert.deepEqual(bench.held(), ['a']);
    assert.equal(bench.request()?.error, undefined);
  });

  it('refuses a wrapper that is not one', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', { type_url: RESOURCE_WRAPPER, value: Buffer.from('0a7f', 'hex') });
    assert.match(bench.request()?.error ?? '', /wrapper/);
  });

  it('30: expires at its time to live, a new one resets it, none clears it', () => {
    const bench = new Bench('endpoints', ['a', 'b']);
    bench.receive(
      '1',
      wrapped('a', resource('endpoints', 'a'), { ttlS: 10 }),
      wrapped('b', resource('endpoints', 'b'), { ttlS: 10 }),
    );
    assert.equal(bench.subscription.nextDeadline(), 10_000);
    bench.now = 5_000;
    bench.receive(
      '2',
      wrapped('a', resource('endpoints', 'a'), { ttlS: 10 }),
      wrapped('b', resource('endpoints', 'b')),
    );
    assert.deepEqual(bench.subscription.expire(10_000).removed, []);
    assert.deepEqual(bench.subscription.expire(15_000).removed, ['a']);
    assert.deepEqual(bench.held(), ['b']);
  });

  it('31: a heartbeat of the held version renews and changes nothing; of another version it does nothing', () => {
    const bench = new Bench('cluster', '*');
    bench.receive('1', wrapped('a', resource('cluster', 'a'), { ttlS: 10, version: 'v' }), resource('cluster', 'b'));
    bench.now = 8_000;
    const beat = bench.receive('1', wrapped('a', undefined, { ttlS: 10, version: 'v' }));
    assert.deepEqual([beat.changed, beat.removed, beat.errors], [[], [], []]);
    assert.equal(bench.subscription.nextDeadline(), 18_000);
    bench.receive('1', wrapped('a', undefined, { ttlS: 100, version: 'other' }));
    assert.equal(bench.subscription.nextDeadline(), 18_000);
    assert.deepEqual(bench.held(), ['a', 'b']);
  });

  it('24: what is sent again unchanged is not decoded again', () => {
    const bench = new Bench('endpoints', ['a']);
    bench.receive('1', resource('endpoints', 'a'));
    const again = bench.receive('2', resource('endpoints', 'a'));
    assert.deepEqual([again.changed, again.confirmed, bench.decoded], [[], ['a'], 1]);
    assert.equal(bench.request()?.version, '2');
    assert.equal(bench.subscription.held().get('a')?.version, '1', 'the version its content came in');
  });
});
