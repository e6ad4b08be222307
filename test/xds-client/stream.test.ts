import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { ChannelCredentials, Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { serviceDefinition } from '../../protos/index.ts';
import { AGGREGATED_METHOD } from '../../xds-client/resource-types.ts';
import { type StreamClosed, XdsStream, type XdsStreamOptions } from '../../xds-client/stream.ts';
import { FakeClock } from './fake-clock.ts';

type Call = ServerDuplexStream<Buffer, Buffer>;

/** A server that does what the test says, and a stream to it whose time is the test's. */
class Bench {
  readonly clock = new FakeClock();
  readonly server = new Server();
  readonly calls: Call[] = [];
  readonly closed: StreamClosed[] = [];
  readonly messages: string[] = [];
  readonly attempts: number[] = [];
  opened = 0;
  target = '127.0.0.1:1';
  readonly stream: XdsStream;
  private wake: () => void = () => {};

  constructor(options: Partial<XdsStreamOptions> = {}) {
    this.server.addService(serviceDefinition('envoy.service.discovery.v3.AggregatedDiscoveryService'), {
      StreamAggregatedResources: (call: Call) => {
        call.on('error', () => {});
        call.on('data', () => {});
        this.calls.push(call);
        this.wake();
      },
    });
    this.stream = new XdsStream(
      {
        endpoint: (attempt) => {
          this.attempts.push(attempt);
          return { target: this.target, credentials: ChannelCredentials.createInsecure() };
        },
        method: AGGREGATED_METHOD,
        initialMetadata: [{ key: 'x-token', value: 'abc' }],
        clock: this.clock,
        random: () => 0.5,
        ...options,
      },
      {
        opened: () => {
          this.opened++;
          this.wake();
        },
        message: (bytes) => {
          this.messages.push(bytes.toString());
          this.wake();
        },
        closed: (reason) => {
          this.closed.push(reason);
          this.wake();
        },
      },
    );
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        this.target = `127.0.0.1:${port}`;
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    const limit = AbortSignal.timeout(5_000);
    while (!condition()) {
      if (limit.aborted) throw new Error(`never: ${what}`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        limit.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** The newest call, once the `count`th is there. */
  async call(count: number): Promise<Call> {
    // gRPC servers see a call when its header comes, which is with the first message at the latest.
    await this.until(`opened ${count}`, () => this.opened >= count);
    this.stream.send(Buffer.from('hello'));
    await this.until(`call ${count}`, () => this.calls.length >= count);
    const call = this.calls[count - 1];
    if (call === undefined) throw new Error('no call');
    return call;
  }
}

let benches: Bench[] = [];
const made = (options: Partial<XdsStreamOptions> = {}): Bench => {
  const bench = new Bench(options);
  benches.push(bench);
  return bench;
};

afterEach(() => {
  for (const bench of benches) {
    bench.stream.stop();
    bench.server.forceShutdown();
  }
  benches = [];
});

describe('a stream', () => {
  it('40: without a server tries again with growing, jittered pauses, on the next endpoint each time', async () => {
    const bench = made();
    bench.stream.start();
    for (const [index, pause] of [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000].entries()) {
      await bench.until('a failure', () => bench.closed.length > index);
      assert.equal(bench.closed[index]?.retryInMs, pause);
      assert.equal(bench.closed[index]?.answered, false);
      assert.match(bench.closed[index]?.details ?? '', /ECONNREFUSED|No connection/);
      bench.clock.advance(pause - 1);
      assert.equal(bench.attempts.length, index + 1, 'not before its time');
      bench.clock.advance(1);
    }
    assert.deepEqual(bench.attempts.slice(0, 3), [0, 1, 2]);
  });

  it('40: closed without an answer is an error, and pauses grow', async () => {
    const bench = made();
    await bench.listen();
    bench.stream.start();
    (await bench.call(1)).end();
    await bench.until('closed', () => bench.closed.length === 1);
    bench.clock.advance(250);
    (await bench.call(2)).end();
    await bench.until('closed', () => bench.closed.length === 2);
    assert.deepEqual(
      bench.closed.map(({ answered, retryInMs }) => [answered, retryInMs]),
      [
        [false, 250],
        [false, 500],
      ],
    );
  });

  it('40: an answer starts the pauses anew; a server that answers and hangs up at once is not hammered', async () => {
    const bench = made();
    bench.stream.start();
    await bench.until('a failure', () => bench.closed.length === 1);
    await bench.listen();
    bench.clock.advance(250);
    for (const [round, pause] of [0, 250, 250].entries()) {
      const call = await bench.call(round + 1);
      call.write(Buffer.from('answer'));
      await bench.until('the answer', () => bench.messages.length === round + 1);
      call.end();
      await bench.until('closed', () => bench.closed.length === round + 2);
      const closed = bench.closed[round + 1];
      assert.deepEqual([closed?.answered, closed?.retryInMs], [true, pause]);
      bench.clock.advance(pause);
    }
    const call = await bench.call(4);
    call.write(Buffer.from('answer'));
    await bench.until('the answer', () => bench.messages.length === 4);
    bench.clock.advance(5_000);
    call.end();
    await bench.until('closed', () => bench.closed.length === 5);
    assert.equal(bench.closed[4]?.retryInMs, 0, 'it lived a while');
  });

  it('sends the metadata and passes the server`s status on', async () => {
    const bench = made();
    await bench.listen();
    bench.stream.start();
    const call = await bench.call(1);
    assert.deepEqual(call.metadata.get('x-token'), ['abc']);
    call.emit('error', { code: 7, details: 'not this node', metadata: new Metadata() });
    await bench.until('closed', () => bench.closed.length === 1);
    assert.deepEqual([bench.closed[0]?.code, bench.closed[0]?.details], [7, 'not this node']);
  });

  it('gives up on an attempt that does not connect in time', async () => {
    const bench = made({ connectTimeoutMs: 3_000 });
    // Nothing answers at a name that is still being resolved when the time is over.
    bench.target = 'dns:///name.invalid:1';
    bench.stream.start();
    bench.clock.advance(3_000);
    await bench.until('closed', () => bench.closed.length === 1);
    assert.match(bench.closed[0]?.details ?? '', /after 3000 ms/);
  });

  it('treats an endpoint that cannot be made as a failed attempt', async () => {
    const bench = made({
      endpoint: () => {
        throw new Error('no certificate yet');
      },
    });
    bench.stream.start();
    assert.deepEqual(bench.closed, [{ code: 14, details: 'no certificate yet', answered: false, retryInMs: 250 }]);
  });

  it('moves to a newer client certificate late in the life of its own, and stays while there is none', async () => {
    let reopenAt = 0;
    let isMissing = false;
    const bench: Bench = made({
      endpoint: () => {
        if (isMissing) throw new Error('no certificate yet');
        return { target: bench.target, credentials: ChannelCredentials.createInsecure(), reopenAt };
      },
    });
    reopenAt = bench.clock.now() + 60_000;
    await bench.listen();
    bench.stream.start();
    const call = await bench.call(1);
    call.write(Buffer.from('an answer'));
    await bench.until('an answer', () => bench.messages.length === 1);
    const own = reopenAt;
    reopenAt += 60_000;
    bench.clock.advance(50_000);
    assert.equal(bench.closed.length, 0, 'not before its time');
    reopenAt = own;
    bench.clock.advance(20_000);
    assert.equal(bench.closed.length, 0, 'there is no newer one');
    isMissing = true;
    bench.clock.advance(20_000);
    assert.equal(bench.closed.length, 0, 'there is none at all');
    isMissing = false;
    reopenAt = own + 60_000;
    bench.clock.advance(10_000);
    assert.match(bench.closed[0]?.details ?? '', /there is a newer one/);
    assert.equal(bench.closed[0]?.retryInMs, 0);
    bench.clock.advance(0);
    await bench.call(2);
    bench.clock.advance(20_000);
    assert.equal(bench.closed.length, 1, 'the new one is young');
  });

  it('says nothing after it was stopped', async () => {
    const bench = made();
    await bench.listen();
    bench.stream.start();
    await bench.call(1);
    bench.stream.stop();
    assert.deepEqual([bench.closed.length, bench.clock.pending()], [0, []]);
  });
});
