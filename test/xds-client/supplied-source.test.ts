import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageObject } from '../../protos/index.ts';
import type { ConfigUpdate } from '../../xds-client/config-store.ts';
import { resourceDecoder } from '../../xds-client/decode-resource.ts';
import type { XdsEvent } from '../../xds-client/events.ts';
import { type SecretSupply, SuppliedSource, type SupplyListener } from '../../xds-client/supplied-source.ts';
import { FakeClock } from './fake-clock.ts';

class Supply implements SecretSupply {
  readonly secrets = new Map<string, MessageObject>();
  listener: SupplyListener | undefined;

  replaces(): boolean {
    return true;
  }

  supplies(): boolean {
    return true;
  }

  secret(name: string): MessageObject | undefined {
    return this.secrets.get(name);
  }

  version(): string {
    return 'v';
  }

  subscribe(listener: SupplyListener): void {
    this.listener = listener;
  }

  /** A bundle under the name; told of. */
  put(name: string, text: string): void {
    this.secrets.set(name, { name, validation_context: { trusted_ca: { inline_string: text } } });
    this.listener?.changed();
  }
}

function started() {
  const clock = new FakeClock();
  const supply = new Supply();
  const events: string[] = [];
  const updates: ConfigUpdate[] = [];
  const source = new SuppliedSource(
    { source: 'grpc:sds-grpc', supply, decode: resourceDecoder(), clock },
    {
      updated: (update) => updates.push(update),
      happened: (event: XdsEvent) => {
        if ('name' in event) events.push(`${event.type} ${event.name}`);
      },
    },
  );
  source.start();
  const want = (names: { readonly [name: string]: number }): void =>
    source.want('secret', { wildcard: false, names: new Map(Object.entries(names)) });
  const changed = () => updates.flatMap((update) => update.changed.map(({ name }) => name));
  return { clock, supply, events, updates, source, want, changed };
}

test('gives what is wanted when it is there, and again when it is another', () => {
  const { clock, supply, want, changed, events, source } = started();
  want({ ROOTCA: 0, other: 0 });
  supply.put('ROOTCA', 'one');
  supply.put('nobodys', 'x');
  clock.advance(0);
  assert.deepEqual(changed(), ['ROOTCA']);
  supply.put('ROOTCA', 'one');
  clock.advance(0);
  assert.deepEqual(changed(), ['ROOTCA'], 'the same is not given again');
  supply.put('ROOTCA', 'two');
  clock.advance(0);
  assert.deepEqual(changed(), ['ROOTCA', 'ROOTCA']);
  assert.equal(events.filter((event) => event === 'success ROOTCA').length, 2);
  assert.equal(source.subscription('secret')?.held().size, 1);
});

test('what is there already is given to who asks later, and to who asks again', () => {
  const { clock, supply, want, changed } = started();
  supply.put('ROOTCA', 'one');
  want({ ROOTCA: 0 });
  clock.advance(0);
  want({});
  want({ ROOTCA: 0 });
  clock.advance(0);
  assert.deepEqual(changed(), ['ROOTCA', 'ROOTCA']);
});

test('one that does not come in time is absent, and may still come', () => {
  const { clock, supply, want, updates, changed, events } = started();
  want({ late: 500 });
  clock.advance(500);
  clock.advance(0);
  assert.deepEqual(
    updates.flatMap((update) => update.absent.map(({ name }) => name)),
    ['late'],
  );
  assert.ok(events.includes('timeout late'));
  supply.put('late', 'one');
  clock.advance(0);
  assert.deepEqual(changed(), ['late']);
});

test('failures are counted for each name, and nothing is told once it is stopped', () => {
  const { clock, supply, want, events, source, updates } = started();
  want({ a: 0, b: 0 });
  events.length = 0;
  supply.listener?.failed();
  assert.deepEqual(events, ['failure a', 'attempt a', 'failure b', 'attempt b']);
  source.stop();
  events.length = 0;
  supply.put('a', 'one');
  supply.listener?.failed();
  clock.advance(1000);
  assert.deepEqual([events, updates], [[], []]);
});
