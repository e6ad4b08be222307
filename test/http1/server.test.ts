import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { latin1, response, Server } from './fakes.ts';

const GET = 'GET /x?y=1 HTTP/1.1\r\nHost: Pay.example:80\r\nX-A:  b \r\n\r\n';

describe('an HTTP/1 server connection', () => {
  it('reads a request and answers it in one write', () => {
    const server = new Server();
    server.receive(GET);
    assert.equal(server.last.text, 'GET Pay.example:80 /x?y=1 11 - x-a=b [] true - -');
    server.last.stream.sendHead(response(200, [['content-length', '2']]), false);
    server.last.stream.sendData(latin1('ok'), true);
    assert.deepEqual(server.transport.writes, ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok']);
    assert.equal(server.transport.ended, false);
    assert.equal(server.connection.activeStreams, 0);
  });

  it('writes pipelined answers at once, and reads a request only after the answer to the one before', () => {
    const server = new Server();
    server.receive(GET + GET);
    assert.equal(server.requests.length, 1);
    assert.equal(server.transport.paused, true);
    server.answer = (seen) => seen.stream.sendHead(response(204), true);
    server.requests[0]?.stream.sendHead(response(200), true);
    assert.equal(server.requests.length, 2);
    assert.equal(server.transport.paused, false);
    assert.equal(server.transport.writes.length, 1);
    server.receive(GET + GET);
    assert.equal(server.transport.writes.at(-1), 'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n');
  });

  it('writes a head alone when this event-loop turn brings no body', async () => {
    const server = new Server();
    server.receive(GET);
    server.last.stream.sendHead(response(200), false);
    assert.deepEqual(server.transport.writesSoFar, []);
    await new Promise(setImmediate);
    assert.deepEqual(server.transport.writesSoFar, ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n']);
    server.last.stream.sendData(latin1('abc'), false);
    server.last.stream.sendData(latin1('defghijklmnop'), false);
    server.last.stream.sendTrailers(response(200, [['x-t', '1']]).headers);
    assert.equal(server.transport.writes[1], '3\r\nabc\r\nd\r\ndefghijklmnop\r\n0\r\n\r\n');
  });

  it('reads bodies by length and chunked, and drops trailers unless they are enabled', () => {
    const text =
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x="y z"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n';
    const plain = new Server();
    plain.receive(text);
    assert.equal(plain.last.text, 'POST a / 11 -  [abc0123456789] true - -');
    const keeping = new Server({}, { enableTrailers: true });
    keeping.receive(text);
    assert.equal(keeping.last.trailers, 'x-t=1');
    const sized = new Server();
    sized.receive('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0003\r\n\r\nabc');
    assert.equal(sized.last.text, 'POST a / 11 - content-length=3 [abc] true - -');
  });

  it('takes the fields of this hop away, and those that Connection names', () => {
    const server = new Server();
    server.receive(
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Foo\r\nx-foo: 1\r\nKeep-Alive: 5\r\nProxy-Connection: k\r\nTE: trailers\r\nUpgrade: x\r\nHTTP2-Settings: A\r\nx-bar: 2\r\n\r\n',
    );
    assert.equal(server.last.line, 'GET a / 11 - te=trailers|x-bar=2');
  });

  it('answers HEAD, 204 and 304 without a body', () => {
    const server = new Server();
    server.receive('HEAD / HTTP/1.1\r\nhost: a\r\n\r\n');
    server.last.stream.sendHead(response(200, [['content-length', '10']]), false);
    server.last.stream.sendData(latin1('0123456789'), true);
    assert.equal(server.transport.text, 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n');
    server.receive(GET);
    server.last.stream.sendHead(response(304, [['content-length', '10']]), true);
    assert.equal(server.transport.writes.at(-1), 'HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n');
  });

  it('tells HEAD that the body would come in chunks', () => {
    const server = new Server();
    server.receive('HEAD / HTTP/1.1\r\nhost: a\r\n\r\n');
    server.last.stream.sendHead(response(200), true);
    assert.equal(server.transport.text, 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    server.receive(GET);
    assert.equal(server.requests.length, 2);
  });

  it('says close after a request that said so, and when draining', () => {
    const asked = new Server();
    asked.receive('GET / HTTP/1.1\r\nhost: a\r\nConnection: Close\r\n\r\n');
    asked.last.stream.sendHead(response(200), true);
    assert.equal(asked.transport.text, 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    assert.equal(asked.transport.ended, true);
    const draining = new Server();
    draining.receive(GET);
    draining.connection.drain();
    draining.last.stream.sendHead(response(200), true);
    assert.match(draining.transport.text, /connection: close/);
    assert.equal(draining.transport.ended, true);
  });

  it('does not close without having said so when a drain comes after the head', () => {
    const server = new Server();
    server.receive(GET);
    server.last.stream.sendHead(response(200), false);
    server.connection.drain();
    server.last.stream.sendData(latin1('x'), true);
    assert.equal(server.transport.ended, false);
    server.receive(GET);
    server.last.stream.sendHead(response(200), true);
    assert.equal(server.transport.ended, true);
  });

  it('ends the connection after an answer that came before the request was complete', () => {
    const server = new Server();
    server.receive('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc');
    server.last.stream.sendHead(response(413), true);
    assert.equal(server.transport.ended, true);
    server.receive('GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.equal(server.requests.length, 1);
  });

  it('speaks HTTP/1.0 when told to: keep-alive on request, bodies until close', () => {
    const server = new Server({}, { acceptHttp10: true, defaultHostForHttp10: 'fallback' });
    server.receive('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.equal(server.last.head.authority, 'fallback');
    server.last.stream.sendHead(response(200), true);
    assert.equal(server.transport.text, 'HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n');
    server.receive('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    server.last.stream.sendHead(response(200), false);
    server.last.stream.sendData(latin1('abc'), true);
    assert.equal(server.transport.writes.at(-1), 'HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nabc');
    assert.equal(server.transport.ended, true);
  });

  it('switches protocols after a 101 only, and closes after any other answer', () => {
    const ask = 'GET / HTTP/1.1\r\nhost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly';
    const server = new Server();
    server.receive(ask);
    assert.equal(server.last.head.protocol, 'websocket');
    assert.equal(server.last.body, '');
    server.last.stream.sendHead(response(101, [['sec-websocket-accept', 'x']]), false);
    assert.equal(server.last.body, 'early');
    server.receive('\x00\x01raw');
    server.last.stream.sendData(latin1('back'), false);
    assert.equal(server.last.body, 'early\x00\x01raw');
    assert.equal(
      server.transport.writes[0],
      'HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nback',
    );
    server.connection.receiveEnd();
    assert.equal(server.last.complete, true);
    server.last.stream.sendData(latin1('bye'), true);
    assert.equal(server.transport.ended, true);

    const refused = new Server();
    refused.receive(ask);
    refused.last.stream.sendHead(response(403), true);
    assert.match(refused.transport.text, /connection: close/);
    assert.equal(refused.requests.length, 1);
  });

  it('opens a CONNECT tunnel after 2xx', () => {
    const server = new Server();
    server.receive('CONNECT pay:443 HTTP/1.1\r\nhost: pay:443\r\n\r\nhello');
    assert.equal(server.last.line, 'CONNECT pay:443  11 - ');
    server.last.stream.sendHead(response(200), false);
    assert.equal(server.last.body, 'hello');
    assert.equal(server.transport.writes[0], 'HTTP/1.1 200 OK\r\n\r\n');
  });

  it('writes header names as configured', () => {
    const proper = new Server({}, { headerCase: 'proper' });
    proper.receive(GET);
    proper.last.stream.sendHead(response(200, [['x-request-id', '1']]), true);
    assert.equal(proper.transport.text, 'HTTP/1.1 200 OK\r\nX-Request-Id: 1\r\nContent-Length: 0\r\n\r\n');
    const kept = new Server({}, { headerCase: 'preserve' });
    kept.receive('GET / HTTP/1.1\r\nHost: a\r\nX-MiXed: 1\r\n\r\n');
    assert.deepEqual(kept.last.head.headers.spelling, ['X-MiXed']);
  });

  it('stops reading while the stream is paused, however often it was paused', () => {
    const server = new Server();
    server.receive('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n');
    server.last.stream.pause();
    server.last.stream.pause();
    assert.equal(server.transport.paused, true);
    server.receive('abc');
    server.receive('def');
    server.last.stream.resume();
    assert.equal(server.last.body, '');
    server.last.stream.resume();
    assert.equal(server.last.body, 'abcdef');
    assert.equal(server.transport.paused, false);
  });

  it('passes backpressure on, and its end', () => {
    const server = new Server();
    server.receive(GET);
    server.transport.accepts = false;
    server.last.stream.sendHead(response(200), false);
    assert.equal(server.last.stream.sendData(Buffer.alloc(70_000), false), false);
    assert.equal(server.last.drains, 0);
    server.connection.writable();
    assert.equal(server.last.drains, 1);
  });

  it('resets the stream when the downstream goes away or half-closes', () => {
    for (const end of ['destroyed', 'receiveEnd'] as const) {
      const server = new Server();
      server.receive(GET);
      server.connection[end]();
      assert.equal(server.last.reset, 'connection-termination');
      assert.equal(server.connection.activeStreams, 0);
    }
  });

  it('never lets a field value begin a line of its own', () => {
    const server = new Server();
    server.receive(GET);
    server.last.stream.sendHead(
      response(200, [
        ['x', 'a\r\nset-cookie: b'],
        ['y', '\u010d\u010aevil: 1'],
      ]),
      true,
    );
    assert.equal(
      server.transport.text,
      'HTTP/1.1 200 OK\r\nx: a  set-cookie: b\r\ny:   evil: 1\r\ncontent-length: 0\r\n\r\n',
    );
  });

  it('does not send more or less than a response announced', () => {
    for (const body of ['abc', 'a']) {
      const server = new Server();
      server.receive(GET);
      server.last.stream.sendHead(response(200, [['content-length', '2']]), false);
      server.last.stream.sendData(latin1(body), true);
      assert.equal(server.transport.destroyed, true);
      assert.doesNotMatch(server.transport.text, /abc/);
    }
  });
});
