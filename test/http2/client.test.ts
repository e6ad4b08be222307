import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { Client, data, fields, frame, headers, number32, Pair, request, response } from './fakes.ts';

const greet = (client: Client) => {
  client.receive(frame(4, 0, 0));
  client.frames();
};

describe('an HTTP/2 client connection', () => {
  it('greets with preface, limits and its window', () => {
    const client = new Client();
    const bytes = client.transport.take();
    assert.equal(bytes.toString('latin1', 0, 24), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    assert.equal(bytes.toString('hex', 24, 33), '000012040000000000');
  });

  it('carries many streams at a time', () => {
    const client = new Client();
    greet(client);
    const first = client.open(request({ method: 'POST' }), false);
    const second = client.open();
    assert.deepEqual(client.frames(), ['HEADERS 1', 'HEADERS 3 end']);
    client.receive(headers(3, false, ':status', '200', 'x-a', '1'), data(3, 'two', true));
    assert.equal(second.seen.text, ' 200 x-a=1 [two] true - -');
    first.stream.sendData(Buffer.from('one'), true);
    client.receive(headers(1, true, ':status', '204'));
    assert.equal(first.seen.text, ' 204  [] true - -');
    assert.deepEqual(client.ends, [true, true]);
    assert.equal(client.connection.activeStreams, 0);
  });

  it('passes 1xx and trailers on', () => {
    const client = new Client();
    greet(client);
    const { seen } = client.open();
    client.receive(headers(1, false, ':status', '103'), headers(1, false, ':status', '200'), data(1, 'x'));
    client.receive(headers(1, true, 'grpc-status', '0'));
    assert.equal(seen.text, '103 200  [x] true grpc-status=0 -');
  });

  it('has as much room as the upstream allows, and tells when that grows', () => {
    const client = new Client();
    client.receive(frame(4, 0, 0, Buffer.from('000300000001', 'hex')));
    assert.equal(client.connection.availableStreams, 1);
    client.open();
    assert.equal(client.connection.availableStreams, 0);
    client.receive(frame(4, 0, 0, Buffer.from('000300000003', 'hex')));
    assert.equal(client.connection.availableStreams, 2);
    assert.equal(client.rooms, 2);
  });

  it('gives up refused streams as refused', () => {
    const client = new Client();
    greet(client);
    const { seen } = client.open();
    client.receive(frame(3, 0, 1, number32(7)));
    assert.equal(seen.reset, 'remote-refused');
    assert.deepEqual(client.ends, [true]);
  });

  it('gives up streams above the last of a GOAWAY as refused, and lets the others end', () => {
    const client = new Client();
    greet(client);
    const [first, second] = [client.open(), client.open()];
    client.receive(frame(7, 0, 0, Buffer.concat([number32(1), number32(0)])));
    assert.equal(client.goAways, 1);
    assert.equal(second.seen.reset, 'remote-refused');
    assert.equal(first.seen.reset, undefined);
    assert.equal(client.connection.availableStreams, 0);
    client.receive(headers(1, true, ':status', '200'));
    assert.deepEqual(client.ends, [false, false]);
  });

  it('says whether a byte of a request was given to the transport', () => {
    const client = new Client();
    greet(client);
    const { stream } = client.open();
    // Put, and the turn will write it.
    assert.equal(stream.bytesSent, true);
    // The connection ended before the turn did.
    client.connection.destroyed('connection-termination');
    assert.equal(stream.bytesSent, false);
    const other = new Client();
    greet(other);
    const sent = other.open().stream;
    other.frames();
    other.connection.destroyed('connection-termination');
    assert.equal(sent.bytesSent, true);
  });

  it('cancels a stream, and ignores what still comes for it', () => {
    const client = new Client();
    greet(client);
    const { seen, stream } = client.open();
    stream.reset('local-reset');
    assert.deepEqual(client.frames(), ['HEADERS 1 end', 'RST 1 8']);
    client.receive(headers(1, false, ':status', '200'), data(1, 'late', true));
    assert.equal(seen.head, undefined);
    assert.deepEqual(client.faults, []);
    assert.deepEqual(client.ends, [true]);
  });

  it('sends no body on after the upstream answered and said so', () => {
    const client = new Client();
    greet(client);
    const { seen, stream } = client.open(request({ method: 'POST' }), false);
    client.receive(headers(1, true, ':status', '413'), frame(3, 0, 1, number32(0)));
    assert.equal(seen.text, ' 413  [] true - -');
    stream.sendData(Buffer.from('more'), true);
    assert.deepEqual(client.frames(), ['HEADERS 1']);
    assert.deepEqual(client.ends, [true]);
  });

  it('delivers a whole response to a slow reader, whatever comes after it', () => {
    const client = new Client();
    greet(client);
    const { seen, stream } = client.open();
    client.receive(headers(1, false, ':status', '200'));
    stream.pause();
    client.receive(data(1, 'money', true), frame(3, 0, 1, number32(8)));
    assert.equal(seen.text, ' 200  [] false - -');
    stream.resume();
    assert.equal(seen.text, ' 200  [money] true - -');
    assert.deepEqual(client.ends, [true]);
  });

  it('asks for a tunnel by extended CONNECT and gives its 200 as 101', () => {
    const client = new Client();
    client.receive(frame(4, 0, 0, Buffer.from('000800000001', 'hex')));
    client.frames();
    const { seen, stream } = client.open(request({ protocol: 'websocket' }));
    client.receive(headers(1, false, ':status', '200'));
    assert.equal(seen.head?.status, 101);
    assert.equal(seen.head?.headers.get('upgrade'), 'websocket');
    stream.sendData(Buffer.from('x'), false);
    assert.deepEqual(client.frames(), ['HEADERS 1', 'DATA 1 1']);
  });

  it('answers the key of a WebSocket over HTTP/1.1 where the upstream does without', () => {
    for (const [fields, accept] of [
      // The key and its answer of RFC 6455 §1.3.
      [[], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
      [['sec-websocket-accept', 'theirs'], 'theirs'],
    ] as const) {
      const client = new Client();
      client.receive(frame(4, 0, 0, Buffer.from('000800000001', 'hex')));
      const head = request({ protocol: 'websocket', version: 11 });
      head.headers.add('sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==');
      const { seen } = client.open(head);
      client.receive(headers(1, false, ':status', '200', ...fields));
      assert.equal(seen.head?.headers.joined('sec-websocket-accept'), accept);
    }
  });

  it('asks no upstream for a tunnel that does not take extended CONNECT', () => {
    const client = new Client();
    greet(client);
    const { seen, stream } = client.open(request({ protocol: 'websocket' }));
    assert.equal(seen.reset, 'protocol-error');
    assert.equal(stream.bytesSent, false);
    assert.deepEqual(client.frames(), []);
    assert.deepEqual(client.ends, [true]);
  });

  it('leaves out what only HTTP/1.1 has', () => {
    const pair = new Pair();
    const h1 = fields('connection', 'close', 'host', 'h', 'te', 'trailers', 'transfer-encoding', 'chunked', 'x-a', '1');
    pair.client.open(request({ headers: h1 }));
    pair.turn();
    assert.equal(pair.server.last.line, 'GET a /p 20 - te=trailers|x-a=1');
  });

  for (const [what, frames] of [
    ['DATA before the head', [data(1, 'x')]],
    ['a response without status', [headers(1, true, 'x-a', '1')]],
    ['a status of HTTP/1.1', [headers(1, false, ':status', '101')]],
    ['a 1xx that ends the stream', [headers(1, true, ':status', '100')]],
    ['DATA in the answer to HEAD', [headers(1, false, ':status', '200', 'content-length', '1'), data(1, 'x', true)]],
    [
      'DATA that Content-Length denies',
      [headers(1, false, ':status', '200', 'content-length', '2'), data(1, 'x', true)],
    ],
    ['trailers that end nothing', [headers(1, false, ':status', '200'), headers(1, false, 'x-t', '1')]],
    ['PUSH_PROMISE', [frame(5, 4, 1, number32(2))]],
    ['a stream of the server', [headers(2, false, ':status', '200')]],
  ] as const) {
    it(`refuses ${what}`, () => {
      const client = new Client();
      greet(client);
      const { seen } = client.open(request({ method: what.includes('HEAD') ? 'HEAD' : 'GET' }));
      client.receive(...frames);
      assert.equal(seen.reset, 'protocol-error');
    });
  }

  it('ends all streams with the connection', () => {
    const client = new Client();
    greet(client);
    const { seen } = client.open();
    client.connection.receiveEnd();
    assert.equal(seen.reset, 'connection-termination');
    assert.equal(client.transport.destroyed, true);
    assert.equal(client.connection.availableStreams, 0);
  });
});

describe('a client and a server', () => {
  for (const size of [1, 7, 1000, Number.POSITIVE_INFINITY]) {
    it(`understand each other in pieces of ${size}`, () => {
      const pair = new Pair({ streamWindow: 65_535 }, { streamWindow: 65_535 });
      pair.server.answer = ({ stream }) => {
        stream.sendInformational(response(103));
        stream.sendHead(response(200, fields('x-long', 'v'.repeat(40_000))), false);
        stream.sendData(Buffer.alloc(200_000, 'd'), false);
        stream.sendTrailers(fields('grpc-status', '0'));
      };
      const both = [1, 2].map(() => pair.client.open(request({ headers: fields('x-a', 'y'.repeat(30_000)) })));
      pair.turn(size);
      for (const { seen } of both) {
        assert.equal(seen.body, 'd'.repeat(200_000));
        assert.equal(seen.trailers, 'grpc-status=0');
        assert.deepEqual(seen.informational, [103]);
      }
      assert.deepEqual(pair.client.faults, []);
      assert.equal(pair.server.connection.activeStreams, 0);
      assert.equal(pair.client.connection.activeStreams, 0);
    });
  }
});
