/** Filters that throw where no filter should: the request ends, its neighbours and the process do not. */
import assert from 'node:assert/strict';
import { before, beforeEach, test } from 'node:test';
import type { FilterCallbacks, HttpFilter, HttpFilterFactory } from '../../proxy/filters/http/contract.ts';
import { CONTINUE, STOP } from '../../proxy/filters/http/contract.ts';
import { ROUTER_TYPE_URL } from '../../proxy/filters/http/router/router.ts';
import { tellInternalFaults } from '../../proxy/http/internal-fault.ts';
import { Timer, TimerWheel } from '../../proxy/timers.ts';
import { until } from '../upstream/support.ts';
import { Client, get, post, send, start } from './support.ts';

let told: string[] = [];
before(() => tellInternalFaults((message) => told.push(message)));
beforeEach(() => {
  told = [];
});

const extension = (name: string, typeUrl: string) => ({
  name,
  disabled: false,
  extension: { name, typeUrl, config: {} },
});

/** Throws in the callback that the request's path names. */
class Thrower implements HttpFilter {
  private readonly callbacks: FilterCallbacks;

  constructor(callbacks: FilterCallbacks) {
    this.callbacks = callbacks;
    this.trip('/create');
  }

  onRequestHead() {
    this.trip('/request-head');
    if (this.callbacks.info.request.path === '/later') {
      setImmediate(() => this.callbacks.continueRequest());
      return STOP;
    }
    return CONTINUE;
  }

  onRequestData() {
    this.trip('/request-data');
    return CONTINUE;
  }

  onResponseHead() {
    this.trip('/response-head');
    return CONTINUE;
  }

  onResponseData() {
    this.trip('/response-data');
    return CONTINUE;
  }

  onDestroy() {
    this.trip('/destroy');
  }

  private trip(path: string): void {
    if (this.callbacks.info.request.path === path) throw new Error(`thrown at ${path}`);
  }
}

const THROWER: HttpFilterFactory = {
  name: 'test.thrower',
  typeUrl: 'test.Thrower',
  build: () => ({ create: (callbacks) => new Thrower(callbacks) }),
};

const THROWING = {
  filters: [THROWER],
  manager: { httpFilters: [extension('thrower', THROWER.typeUrl), extension('router', ROUTER_TYPE_URL)] },
};

for (const path of ['/create', '/request-head', '/response-head']) {
  test(`an exception at ${path} is a 500, told once with its stack, and others are served`, async () => {
    const { proxy, upstream } = await start(THROWING);
    const neighbour = new Client(proxy.port);
    neighbour.write(get('/fine'));
    assert.equal((await neighbour.reply()).status, 200);
    const { status } = await send(proxy.port, get(path));
    assert.equal(status, 500);
    assert.equal(proxy.log.at(-1)?.responseCodeDetails, 'internal_error');
    assert.equal(told.length, 1);
    assert.match(told[0] ?? '', new RegExp(`a request was given up: Error: thrown at ${path}\\n +at `));
    assert.equal(upstream.requests.filter((text) => text.includes(path)).length, path === '/response-head' ? 1 : 0);
    neighbour.write(get('/fine'));
    assert.equal((await neighbour.reply()).status, 200);
    neighbour.close();
    assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
  });
}

test('an exception at a body is a 500 before the response began, and a reset afterwards', async () => {
  const { proxy } = await start(THROWING);
  assert.equal((await send(proxy.port, post('/request-data', 'pay'))).status, 500);
  const client = new Client(proxy.port);
  client.write(get('/response-data'));
  await until(() => client.ended, 'the connection is reset');
  assert.equal(told.length, 2);
  assert.equal((await send(proxy.port, get('/fine'))).status, 200);
  assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
});

test('an exception as a request ends takes nothing back', async () => {
  const { proxy } = await start(THROWING);
  assert.equal((await send(proxy.port, get('/destroy'))).status, 200);
  assert.equal(told.length, 1);
});

test('an exception that repeats is told at the first, the tenth and the hundredth time', async () => {
  const { proxy } = await start(THROWING);
  const client = new Client(proxy.port);
  for (let i = 0; i < 100; i++) {
    client.write(get('/request-head'));
    assert.equal((await client.reply()).status, 500);
  }
  client.close();
  const times = told.map((message) => /\((\d+) times\)/.exec(message)?.[1]);
  assert.ok(times.includes('100'), JSON.stringify(times));
  assert.ok(told.length <= 3);
});

test('a timer that throws leaves the other timers of its tick', () => {
  let now = 0;
  const wheel = new TimerWheel({ now: () => now, wakeAt: () => {} });
  const fired: string[] = [];
  const arm = (name: string, fails: boolean) =>
    wheel.arm(
      new Timer(
        {
          onTimer() {
            fired.push(name);
            if (fails) throw new Error(name);
          },
        },
        0,
      ),
      50,
    );
  arm('first', true);
  arm('second', false);
  now = 100;
  wheel.advance();
  assert.deepEqual(fired, ['first', 'second']);
  assert.equal(told.length, 1);
});
