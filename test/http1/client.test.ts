import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { websocketAccept } from '../../proxy/http/websocket.ts';
import { Client, latin1, request, SeenResponse } from './fakes.ts';

function start(client: Client, parts: Parameters<typeof request>[0] = {}, end = true) {
  const seen = new SeenResponse();
  const stream = client.connection.newStream(seen);
  stream.sendHead(request(parts), end);
  return { seen, stream };
}

describe('an HTTP/1 client connection', () => {
  it('writes a request once and reads its response', () => {
    const client = new Client();
    const { seen, stream } = start(client, { path: '/p?q', authority: 'pay:80' });
    assert.deepEqual(client.transport.writes, ['GET /p?q HTTP/1.1\r\nhost: pay:80\r\n\r\n']);
    assert.equal(stream.bytesSent, true);
    client.receive('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nX: y\r\n\r\nok');
    assert.equal(seen.text, ' 200 content-length=2|x=y [ok] true - -');
    assert.deepEqual(client.ends, [true]);
    assert.equal(client.connection.availableStreams, 1);
  });

  it('frames requests as Envoy does', () => {
    const heads = ['GET', 'POST', 'OPTIONS', 'DELETE'].map((method) => {
      const client = new Client();
      start(client, { method });
      return client.transport.text.split('\r\n').slice(2, -2).join();
    });
    assert.deepEqual(heads, ['', 'content-length: 0', 'content-length: 0', '']);
    const client = new Client();
    const seen = new SeenResponse();
    const stream = client.connection.newStream(seen);
    stream.sendHead(request({ method: 'POST' }, [['content-length', '3']]), false);
    stream.sendData(latin1('abc'), true);
    assert.deepEqual(client.transport.writes, ['POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc']);
    const chunked = new Client();
    const { stream: body } = start(chunked, { method: 'POST' }, false);
    body.sendData(latin1('abc'), true);
    assert.deepEqual(chunked.transport.writes, [
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    ]);
  });

  it('proves that nothing was sent, and keeps the connection then', () => {
    const client = new Client();
    const { stream } = start(client, { method: 'POST' }, false);
    assert.equal(stream.bytesSent, false);
    stream.reset('local-reset');
    assert.deepEqual(client.ends, [true]);
    assert.equal(client.transport.destroyed, false);
    start(client);
    assert.deepEqual(client.transport.writes, ['GET / HTTP/1.1\r\nhost: a\r\n\r\n']);
  });

  it('waits for the end of a head only where it may be one', () => {
    for (const pieces of [['SSH-2.0-x\r\n'], ['H', 'TTP/2 200'], ['HTTP', '/3'], ['\0']]) {
      const client = new Client();
      const { seen } = start(client);
      for (const piece of pieces) client.receive(piece);
      assert.equal(seen.reset, 'protocol-error', pieces.join('|'));
    }
    const client = new Client();
    const { seen } = start(client);
    for (const piece of ['H', 'TTP/', '1.1 200 OK\r\ncontent-length: 0\r\n', '\r\n']) client.receive(piece);
    assert.equal(seen.reset, undefined);
    assert.deepEqual(client.ends, [true]);
  });

  it('destroys the connection when a request that was sent is reset', () => {
    const client = new Client();
    const { stream } = start(client);
    assert.equal(client.transport.writes.length, 1);
    stream.reset('local-reset');
    assert.deepEqual(client.ends, [false]);
    assert.equal(client.transport.destroyed, true);
  });

  it('hands on 1xx, and frames HEAD, 204, 304 and chunked responses', () => {
    const cases: [string, string, string][] = [
      [
        'GET',
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 x\r\n\r\n',
        '100,103 204  [] true - -',
      ],
      ['HEAD', 'HTTP/1.1 200\r\ncontent-length: 5\r\n\r\n', ' 200 content-length=5 [] true - -'],
      ['GET', 'HTTP/1.1 304 x\r\ncontent-length: 5\r\n\r\n', ' 304 content-length=5 [] true - -'],
      [
        'GET',
        'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n',
        ' 200  [abc] true - -',
      ],
    ];
    for (const [method, bytes, expected] of cases) {
      const client = new Client();
      const { seen } = start(client, { method });
      client.receive(bytes);
      assert.equal(seen.text, expected);
      assert.deepEqual(client.ends, [true]);
    }
  });

  it('reads a body until the connection ends, and calls an end in the middle of one a fault', () => {
    const client = new Client();
    const { seen } = start(client);
    client.receive('HTTP/1.1 200 OK\r\n\r\nabc');
    assert.equal(seen.complete, false);
    client.connection.receiveEnd();
    assert.equal(seen.text, ' 200  [abc] true - -');
    assert.deepEqual(client.ends, [false]);
    const early = new Client();
    start(early);
    early.receive('HTTP/1.1 200 OK\r\ncontent-le');
    early.connection.receiveEnd();
    assert.equal(early.faults.length, 1);
    const cut = new Client();
    const { seen: short } = start(cut);
    cut.receive('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
    cut.connection.receiveEnd();
    assert.equal(short.reset, 'protocol-error');
    assert.equal(short.complete, false);
  });

  it('does not reuse a connection that said close, is HTTP/1.0, or answered too early', () => {
    for (const bytes of [
      'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
      'HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n',
    ]) {
      const client = new Client();
      start(client);
      client.receive(bytes);
      assert.deepEqual([client.ends, client.goAways], [[false], 1]);
    }
    const early = new Client();
    const { seen, stream } = start(early, { method: 'POST' }, false);
    stream.sendData(latin1('part'), false);
    early.receive('HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n');
    assert.equal(seen.complete, true);
    assert.deepEqual(early.ends, [false]);
    assert.equal(early.transport.destroyed, true);
  });

  it('faults bytes that nobody asked for', () => {
    const after = new Client();
    const { seen } = start(after);
    after.receive('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n');
    assert.equal(seen.complete, true);
    assert.deepEqual([after.ends, after.faults.length], [[], 1]);
    const idle = new Client();
    idle.receive('HTTP/1.1 200 OK\r\n\r\n');
    assert.equal(idle.faults.length, 1);
    assert.equal(idle.connection.availableStreams, 0);
  });

  it('refuses responses that can be read in two ways', () => {
    for (const bytes of [
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n',
      'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
      'HTTP/1.1 204 OK\r\ntransfer-encoding: chunked\r\n\r\n',
      'HTTP/1.1 101 Switching\r\n\r\n',
      'HTTP/1.1 200 OK\nx: y\n\n',
      'HTTP/2.0 200 OK\r\n\r\n',
      'HTTP/1.1 20 OK\r\n\r\n',
      'HTTP/1.1 200 OK\r\nx y\r\n\r\n',
      `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`,
      'HTTP/1.1 100 x\r\n\r\n'.repeat(20),
    ]) {
      const client = new Client();
      const { seen } = start(client);
      client.receive(bytes);
      assert.equal(seen.reset, 'protocol-error', bytes.slice(0, 60));
      assert.equal(client.faults.length, 1);
      assert.equal(client.connection.availableStreams, 0);
    }
  });

  it('switches protocols when asked, and never reuses the connection', () => {
    const client = new Client();
    const { seen, stream } = start(client, { protocol: 'websocket' }, false);
    assert.equal(
      client.transport.text,
      'GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n',
    );
    client.receive('HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw');
    assert.equal(seen.text, ' 101 upgrade=websocket [raw] false - -');
    stream.sendData(latin1('up'), true);
    assert.equal(client.transport.ended, true);
    client.connection.receiveEnd();
    assert.equal(seen.complete, true);
    assert.deepEqual(client.ends, [false]);
  });

  describe('for a WebSocket that came by extended CONNECT', () => {
    const ask = () => {
      const client = new Client();
      const { seen } = start(client, { protocol: 'websocket', version: 20 }, false);
      const key = /sec-websocket-key: ([A-Za-z0-9+/]{22}==)\r\nsec-websocket-version: 13\r\n/.exec(
        client.transport.text,
      )?.[1];
      assert.ok(key !== undefined, client.transport.text);
      return { client, seen, accept: websocketAccept(key) };
    };
    const switching = (fields: string) => `HTTP/1.1 101 x\r\nconnection: upgrade\r\n${fields}\r\nraw`;

    it('makes a key, and takes the answer to it', () => {
      const { client, seen, accept } = ask();
      client.receive(switching(`upgrade: WebSocket\r\nsec-websocket-accept: ${accept}\r\n`));
      assert.equal(seen.text, ' 101 upgrade=WebSocket [raw] false - -');
    });

    it('refuses an answer to another key, none, two, and another protocol', () => {
      const other = websocketAccept('other');
      for (const fieldsFor of [
        () => `upgrade: websocket\r\nsec-websocket-accept: ${other}\r\n`,
        () => 'upgrade: websocket\r\n',
        (accept: string) => `upgrade: websocket\r\n${`sec-websocket-accept: ${accept}\r\n`.repeat(2)}`,
        (accept: string) => `upgrade: h2c\r\nsec-websocket-accept: ${accept}\r\n`,
      ]) {
        const { client, seen, accept } = ask();
        client.receive(switching(fieldsFor(accept)));
        assert.equal(seen.reset, 'protocol-error');
        assert.equal(client.faults.length, 1);
      }
    });

    it('refuses a 2xx that does not switch, and passes what refuses on', () => {
      const { client, seen } = ask();
      client.receive('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      assert.equal(seen.reset, 'protocol-error');
      assert.equal(client.faults.length, 1);
      const refused = ask();
      refused.client.receive('HTTP/1.1 403 x\r\ncontent-length: 2\r\n\r\nno');
      assert.equal(refused.seen.text, ' 403 content-length=2 [no] true - -');
    });

    it("leaves the downstream's own key and the answer to it alone", () => {
      const client = new Client();
      const seen = new SeenResponse();
      const head = request({ protocol: 'websocket', version: 20 }, [['sec-websocket-key', 'theirs']]);
      client.connection.newStream(seen).sendHead(head, false);
      assert.equal(client.transport.text.match(/sec-websocket-key: theirs\r\n/g)?.length, 1);
      client.receive(switching('upgrade: websocket\r\nsec-websocket-accept: anything\r\n'));
      assert.equal(seen.text, ' 101 sec-websocket-accept=anything|upgrade=websocket [raw] false - -');
    });
  });

  it('keeps a rewritten path inside the request line', () => {
    const client = new Client();
    start(client, { path: '/a b\r\nHost: evil' });
    assert.equal(client.transport.text, 'GET /a%20b%20%20Host:%20evil HTTP/1.1\r\nhost: a\r\n\r\n');
  });

  it('tells the stream that its connection is gone', () => {
    const client = new Client();
    const { seen } = start(client);
    client.connection.destroyed('connection-termination');
    assert.equal(seen.reset, 'connection-termination');
    assert.equal(client.connection.activeStreams, 0);
  });

  it('stops reading while paused', () => {
    const client = new Client();
    const { seen, stream } = start(client);
    client.receive('HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n');
    stream.pause();
    client.receive('abcdef');
    assert.equal(seen.body, '');
    assert.equal(client.transport.paused, true);
    stream.resume();
    assert.equal(seen.text, ' 200 content-length=6 [abcdef] true - -');
    assert.equal(client.transport.paused, false);
    assert.deepEqual(client.ends, [true]);
  });
});
