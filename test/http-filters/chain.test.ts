import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CONTINUE,
  type FilterCallbacks,
  type HttpFilter,
  type HttpFilterFactory,
  STOP,
  STOP_AND_WATERMARK,
  TAKE,
} from '../../proxy/filters/http/contract.ts';
import { HeaderMap, type ResponseHead } from '../../proxy/http/headers.ts';
import { head, headers } from '../observe/stream-info.ts';
import { FilterRun, type FilterSetup, type RunOptions } from './support.ts';

type Behaviour = (callbacks: FilterCallbacks) => HttpFilter;

let made = 0;

function filter(behaviour: Behaviour, parts: Partial<FilterSetup> = {}): FilterSetup {
  const name = `filter-${++made}`;
  const factory: HttpFilterFactory = { name, typeUrl: name, build: () => ({ create: behaviour }) };
  return { factory, ...parts };
}

function run(setups: readonly FilterSetup[], options: RunOptions = {}): FilterRun {
  return new FilterRun(setups, { head: head({}, '/p'), ...options });
}

function ok(): ResponseHead {
  return { status: 200, headers: new HeaderMap() };
}

const PASS: Behaviour = () => ({});

test('a message that no filter stops goes through part by part', () => {
  const it = run([filter(PASS), filter(PASS)]);
  it.request(undefined, 'ab', 'cd', headers({ checksum: '1' }));
  it.respond(ok(), 'x', 'y');
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data ab', 'data cd', 'trailers checksum=1']);
  assert.deepEqual(it.toDownstream, ['head 200', 'data x', 'data y end']);
});

test('what waits behind a stopped filter goes on in its order', () => {
  let callbacks: FilterCallbacks | undefined;
  const stopper = filter((given) => {
    callbacks = given;
    return { onRequestHead: () => STOP };
  });
  const it = run([filter(PASS), stopper, filter(PASS)]);
  it.request(undefined, 'ab', 'cd', headers({ checksum: '1' }));
  assert.deepEqual(it.toUpstream, []);
  assert.equal(callbacks?.bufferedRequestBody()?.toString(), 'abcd');
  callbacks?.continueRequest();
  callbacks?.continueRequest();
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data abcd', 'trailers checksum=1']);
});

test('two filters that wait at once let go one after the other', () => {
  const given: FilterCallbacks[] = [];
  const stopper: Behaviour = (callbacks) => {
    given.push(callbacks);
    return { onRequestHead: () => STOP };
  };
  const it = run([filter(stopper), filter(stopper)]);
  it.request(undefined, 'ab', 'cd');
  given[1]?.continueRequest();
  assert.deepEqual(it.toUpstream, []);
  given[0]?.continueRequest();
  assert.deepEqual(it.toUpstream, []);
  given[1]?.continueRequest();
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data ab', 'data cd end']);
});

test('a filter that stopped goes on by its word on data, and from inside its callback', () => {
  const waits = filter(() => ({
    onRequestHead: (_head, end) => (end ? CONTINUE : STOP),
    onRequestData: (_chunk, end) => (end ? CONTINUE : STOP),
  }));
  const inside = filter((callbacks) => ({
    onRequestHead: () => STOP,
    onRequestData: (_chunk, end) => {
      if (end) callbacks.continueRequest();
      return STOP;
    },
  }));
  const it = run([waits, inside]);
  it.request(undefined, 'ab', 'cd');
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data ab', 'data cd end']);
});

test('a filter takes data and sends what it makes of it', () => {
  const upper = filter((callbacks) => ({
    onResponseData(chunk, end) {
      callbacks.addResponseData(Buffer.from(chunk.toString().toUpperCase()), end);
      return TAKE;
    },
  }));
  const it = run([filter(PASS), upper]);
  it.request();
  it.respond(ok(), 'ab', 'cd');
  assert.deepEqual(it.toDownstream, ['head 200', 'data AB', 'data CD end']);
});

test('a filter takes trailers and sends them as data, later', () => {
  let callbacks: FilterCallbacks | undefined;
  const last = filter((given) => {
    callbacks = given;
    return { onResponseTrailers: () => TAKE };
  });
  const it = run([filter(PASS), last]);
  it.request();
  it.respond(ok(), 'ab', headers({ 'grpc-status': '0' }));
  assert.deepEqual(it.toDownstream, ['head 200', 'data ab']);
  callbacks?.addResponseData(Buffer.from('grpc-status:0'), true);
  assert.deepEqual(it.toDownstream, ['head 200', 'data ab', 'data grpc-status:0 end']);
});

test('added data waits behind a shut gate, its own or a later one', () => {
  const given: FilterCallbacks[] = [];
  const adds = filter((callbacks) => {
    given.push(callbacks);
    return { onRequestHead: () => STOP, onRequestData: () => TAKE };
  });
  const holds = filter((callbacks) => {
    given.push(callbacks);
    return { onRequestHead: () => STOP };
  });
  const it = run([adds, holds]);
  it.request(undefined, 'ab');
  given[0]?.addRequestData(Buffer.from('one'), false);
  given[0]?.continueRequest();
  given[0]?.addRequestData(Buffer.from('two'), true);
  assert.deepEqual(it.toUpstream, []);
  given[1]?.continueRequest();
  assert.deepEqual(it.toUpstream, ['head GET /p', 'data one', 'data two end']);
});

test('more than may wait is 413, or stops the reading where the filter says so', () => {
  const stopped = filter(() => ({ onRequestHead: () => STOP }));
  const it = run([stopped], { limitBytes: 3 });
  it.request(undefined, 'abcd', 'e');
  assert.deepEqual(it.toDownstream, [
    'local 413 Payload Too Large request_payload_too_large',
    'head 413',
    'data Payload Too Large end',
  ]);
  assert.equal(it.destroyed, true);
  assert.deepEqual(it.tooLarge, ['request']);

  let callbacks: FilterCallbacks | undefined;
  const paused = filter((given) => {
    callbacks = given;
    return { onRequestHead: () => STOP_AND_WATERMARK, onRequestData: () => STOP_AND_WATERMARK };
  });
  const slow = run([paused], { limitBytes: 3 });
  slow.request(undefined, 'abcd', 'e');
  assert.deepEqual([slow.toDownstream, slow.requestPauses], [[], 1]);
  callbacks?.continueRequest();
  assert.deepEqual([slow.toUpstream, slow.requestPauses], [['head GET /p', 'data abcd', 'data e end'], 0]);
});

test('more of a response than may wait is 500, and a reset once its head has gone', () => {
  const whole = filter(() => ({ onResponseHead: () => STOP }));
  const it = run([whole], { limitBytes: 3 });
  it.request();
  it.respond(ok(), 'abcd');
  assert.equal(it.toDownstream[0], 'local 500 Internal Server Error response_payload_too_large');
  const data = filter(() => ({ onResponseData: () => STOP }));
  const late = run([data], { limitBytes: 3 });
  late.request();
  late.respond(ok(), 'abcd');
  assert.deepEqual(late.toDownstream, ['head 200', 'reset local-reset']);
  assert.equal(late.info.responseCodeDetails, 'response_payload_too_large');
  assert.deepEqual(late.tooLarge, ['response']);
});

test('a limit of its own is a filter’s, and no other’s', () => {
  const small = filter((callbacks) => ({
    onRequestHead() {
      callbacks.setRequestLimit(2);
      return STOP;
    },
  }));
  const it = run([small], { limitBytes: 1000 });
  it.request(undefined, 'abc');
  assert.equal(it.toDownstream[0], 'local 413 Payload Too Large request_payload_too_large');
});

test('the source is told to wait while the downstream is full or a filter wants no more', () => {
  let callbacks: FilterCallbacks | undefined;
  const blocked: boolean[] = [];
  const it = run([
    filter((given) => {
      callbacks = given;
      return {
        onResponseBlocked: (is) => {
          blocked.push(is);
        },
      };
    }),
  ]);
  it.request();
  it.writable = false;
  assert.equal(it.chain.sendHead(ok(), false), false);
  callbacks?.pauseResponse();
  it.writable = true;
  it.chain.onDownstreamDrain();
  assert.deepEqual([blocked, it.drains], [[true, false], 0]);
  assert.equal(it.chain.sendData(Buffer.from('x'), false), false);
  callbacks?.resumeResponse();
  assert.equal(it.drains, 1);
  assert.equal(it.chain.sendData(Buffer.from('y'), true), true);
});

test('a local reply goes through the response callbacks of all filters, and what was held is dropped', () => {
  const seen: string[] = [];
  const sees = filter((callbacks) => ({
    onResponseHead(reply) {
      reply.headers.set('x-seen', '1');
      return CONTINUE;
    },
    onResponseData(chunk, end) {
      seen.push(chunk.toString());
      callbacks.addResponseData(Buffer.from('changed'), end);
      return TAKE;
    },
  }));
  const holds = filter(() => ({ onRequestHead: () => STOP }));
  const it = run([sees, holds], { limitBytes: 3 });
  it.request(undefined, 'abcd');
  assert.deepEqual(seen, ['Payload Too Large']);
  assert.deepEqual(it.toDownstream.slice(1), ['head 413', 'data changed end']);
  assert.equal(it.responseHead?.headers.get('x-seen'), '1');
  assert.deepEqual(it.toUpstream, []);
});

test('routes switch filters off and on', () => {
  const seen: string[] = [];
  function named(name: string): Behaviour {
    return () => ({
      onRequestHead() {
        seen.push(name);
        return CONTINUE;
      },
    });
  }
  const it = run([
    filter(named('on')),
    filter(named('off here'), { switched: false }),
    filter(named('off')),
    filter(named('off, on here'), { disabled: true, switched: true }),
    filter(named('off, configured here'), { disabled: true, perRoute: [{}] }),
    filter(named('disabled'), { disabled: true }),
  ]);
  it.request();
  assert.deepEqual(seen, ['on', 'off', 'off, on here', 'off, configured here']);
});

test('a filter reads the most specific word of the routes, or all from the general down', () => {
  let callbacks: FilterCallbacks | undefined;
  const reads = filter(
    (given) => {
      callbacks = given;
      return {};
    },
    { perRoute: [{ of: 'route' }, { of: 'virtual host' }] },
  );
  run([reads]);
  assert.deepEqual(callbacks?.perRouteConfig(), { of: 'route' });
  assert.deepEqual(callbacks?.perRouteConfigs(), [{ of: 'virtual host' }, { of: 'route' }]);
});

test('filters on the source’s side of one that wants no more are told so, the others are not', () => {
  const given: FilterCallbacks[] = [];
  const told: string[] = [];
  const watches = (name: string) =>
    filter((callbacks) => {
      given.push(callbacks);
      return {
        onRequestBlocked: (blocked) => {
          told.push(`${name} request ${blocked}`);
        },
        onResponseBlocked: (blocked) => {
          told.push(`${name} response ${blocked}`);
        },
      };
    });
  const it = run([watches('one'), watches('two'), watches('three')]);
  given[1]?.pauseRequest();
  given[1]?.pauseRequest();
  given[1]?.resumeRequest();
  assert.deepEqual([told.splice(0), it.requestPauses], [['one request true'], 1]);
  it.chain.pauseRequest();
  it.chain.resumeRequest();
  assert.deepEqual(told.splice(0), [
    'three request true',
    'two request true',
    'three request false',
    'two request false',
  ]);
  given[1]?.resumeRequest();
  assert.deepEqual([told.splice(0), it.requestPauses], [['one request false'], 0]);
  given[0]?.resumeRequest();
  assert.equal(it.requestPauses, 0);
  given[1]?.pauseResponse();
  given[1]?.resumeResponse();
  assert.deepEqual(told, ['three response true', 'three response false']);
});

test('a filter is told of a gate that is full, and of the room behind it', () => {
  const given: FilterCallbacks[] = [];
  const told: boolean[] = [];
  const adds = filter(() => ({
    onRequestBlocked: (blocked) => {
      told.push(blocked);
    },
  }));
  const holds = filter((callbacks) => {
    given.push(callbacks);
    return { onRequestHead: () => STOP_AND_WATERMARK, onRequestData: () => STOP_AND_WATERMARK };
  });
  const it = run([adds, holds], { limitBytes: 3 });
  it.request(undefined, 'abcd', 'e');
  assert.deepEqual(told, [true]);
  given[0]?.continueRequest();
  assert.deepEqual(told, [true, false]);
});
