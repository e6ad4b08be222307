import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { block, data, fields, frame, GET, headers, number32, POST, response, Server } from './fakes.ts';

const SETTINGS = 4;
const END = 1;
const END_HEADERS = 4;

describe('an HTTP/2 server connection', () => {
  it('greets with its limits and opens the connection window', () => {
    const server = new Server();
    assert.deepEqual(server.frames(), ['SETTINGS 12', `WINDOW 0 ${24 * 1024 * 1024 - 65_535}`]);
  });

  it('takes a request and answers it in one write', () => {
    const server = new Server();
    server.answer = ({ stream }) => {
      stream.sendHead(response(200, fields('content-type', 'text/plain')), false);
      stream.sendData(Buffer.from('hello'), true);
    };
    server.receive(headers(1, true, ...GET, 'x-a', '1'));
    assert.equal(server.last.text, 'GET a / 20 - x-a=1 [] true - -');
    assert.deepEqual(server.frames(), ['HEADERS 1', 'DATA 1 5 end']);
    assert.equal(server.connection.activeStreams, 0);
  });

  it('takes body and trailers, padding and priority off', () => {
    const server = new Server();
    const padded = Buffer.concat([Buffer.from([3]), Buffer.from([0, 0, 0, 0, 9]), block(...POST), Buffer.alloc(3)]);
    server.receive(frame(1, END_HEADERS | 8 | 32, 1, padded));
    server.receive(frame(0, 8, 1, '\x02heyPP'), data(1, 'ho'), headers(1, true, 'x-t', '1'));
    assert.equal(server.last.text, 'POST a / 20 -  [heyho] true x-t=1 -');
    assert.equal(server.stats.named('trailers'), 1);
  });

  it('joins a head that comes in CONTINUATION frames', () => {
    const server = new Server();
    const whole = block(...GET, 'x-a', '1');
    server.receive(frame(1, END, 1, whole.subarray(0, 3)), frame(9, 0, 1, whole.subarray(3, 7)));
    server.receive(frame(9, END_HEADERS, 1, whole.subarray(7)));
    assert.equal(server.last.line, 'GET a / 20 - x-a=1');
  });

  it('joins cookies and takes Host for a missing authority', () => {
    const server = new Server();
    server.receive(headers(1, true, ...GET.slice(0, 6), 'host', 'h', 'cookie', 'a=1', 'cookie', 'b=2'));
    assert.equal(server.last.line, 'GET h / 20 - cookie=a=1; b=2');
  });

  it('ends the rest of a request that was answered early', () => {
    const server = new Server();
    server.answer = ({ stream }) => stream.sendHead(response(403), true);
    server.receive(headers(1, false, ...POST), data(1, 'late'), headers(1, true, 'x-t', '1'));
    assert.deepEqual(server.frames(), ['HEADERS 1 end', 'RST 1 0']);
    assert.equal(server.last.body, '');
  });

  it('gives extended CONNECT as an upgrade, and its 101 as 200', () => {
    const server = new Server({ allowConnect: true });
    server.receive(
      headers(
        1,
        false,
        ':method',
        'CONNECT',
        ':protocol',
        'websocket',
        ':scheme',
        'http',
        ':path',
        '/c',
        ':authority',
        'a',
      ),
    );
    assert.equal(server.last.line, 'GET a /c 20 websocket ');
    assert.equal(server.last.complete, false);
    server.last.stream.sendHead(response(101, fields('upgrade', 'websocket')), false);
    assert.deepEqual(server.frames(), ['HEADERS 1']);
  });

  it('refuses streams above the limit, and goes on', () => {
    const server = new Server({ maxConcurrentStreams: 1 });
    server.receive(headers(1, true, ...GET), headers(3, true, ...GET));
    assert.deepEqual(server.frames(), ['RST 3 7']);
    server.last.stream.sendHead(response(200), true);
    server.receive(headers(5, true, ...GET));
    assert.equal(server.requests.length, 2);
  });

  it('tells its handler of a reset, and sends its own', () => {
    const server = new Server();
    server.receive(headers(1, true, ...GET), headers(3, true, ...GET), frame(3, 0, 1, number32(8)));
    assert.equal(server.requests[0]?.reset, 'remote-reset');
    server.last.stream.reset('local-reset');
    assert.deepEqual(server.frames(), ['RST 3 2']);
    assert.equal(server.stats.named('rx_reset'), 1);
    assert.equal(server.stats.named('tx_reset'), 1);
    assert.equal(server.stats.named('streams_active'), 0);
  });

  it('drains in two steps and ends with the last stream', () => {
    const server = new Server();
    server.receive(headers(1, true, ...GET));
    server.connection.drain();
    assert.deepEqual(server.frames(), ['GOAWAY 2147483647 0', 'PING 8']);
    // On its way when the GOAWAY was sent: still served.
    server.receive(headers(3, true, ...GET), frame(6, 1, 0, 'tollway1'));
    assert.deepEqual(server.frames(), ['GOAWAY 3 0']);
    server.receive(headers(5, true, ...GET));
    assert.equal(server.requests.length, 2);
    server.requests[0]?.stream.sendHead(response(200), true);
    assert.equal(server.transport.ended, false);
    server.last.stream.sendHead(response(200), true);
    assert.equal(server.transport.ended, true);
    assert.equal(server.stats.named('goaway_sent'), 2);
  });

  it('answers PING and SETTINGS', () => {
    const server = new Server();
    server.receive(frame(6, 0, 0, '12345678'), frame(SETTINGS, 0, 0));
    assert.deepEqual(server.frames(), ['PING ack', 'SETTINGS ack']);
  });

  it('tells every stream that the connection is gone', () => {
    const server = new Server();
    server.receive(headers(1, false, ...POST), headers(3, true, ...GET));
    server.connection.destroyed();
    assert.deepEqual(
      server.requests.map(({ reset }) => reset),
      ['connection-termination', 'connection-termination'],
    );
  });
});

describe('flow control of a server', () => {
  it('sends what the stream window allows, and the rest when it opens', () => {
    const server = new Server();
    server.receive(frame(SETTINGS, 0, 0, Buffer.from('000400000003', 'hex')), headers(1, true, ...GET));
    server.frames();
    const { stream } = server.last;
    stream.sendHead(response(200), false);
    assert.equal(stream.sendData(Buffer.from('hello'), false), false);
    assert.equal(stream.sendData(Buffer.from('!'), true), false);
    assert.deepEqual(server.frames(), ['HEADERS 1', 'DATA 1 3']);
    assert.equal(server.stats.named('pending_send_bytes'), 3);
    server.receive(frame(8, 0, 1, number32(2)));
    assert.deepEqual(server.frames(), ['DATA 1 2']);
    server.receive(frame(8, 0, 1, number32(10)));
    assert.deepEqual(server.frames(), ['DATA 1 1 end']);
    assert.equal(server.stats.named('pending_send_bytes'), 0);
    assert.equal(server.connection.activeStreams, 0);
  });

  it('says when a stream that waited may go on', () => {
    const server = new Server();
    server.receive(frame(SETTINGS, 0, 0, Buffer.from('000400000003', 'hex')), headers(1, true, ...GET));
    const seen = server.last;
    seen.stream.sendHead(response(200), false);
    seen.stream.sendData(Buffer.from('hello'), false);
    server.receive(frame(8, 0, 1, number32(1)));
    assert.equal(seen.drains, 0);
    server.receive(frame(8, 0, 1, number32(1)));
    assert.equal(seen.drains, 1);
  });

  it('shares the connection window among streams, a frame each', () => {
    const server = new Server();
    server.receive(headers(1, true, ...GET), headers(3, true, ...GET));
    server.frames();
    const [first, second] = server.requests;
    for (const seen of [first, second]) seen?.stream.sendHead(response(200), false);
    first?.stream.sendData(Buffer.alloc(65_535), false);
    server.receive(frame(8, 0, 1, number32(100_000)));
    first?.stream.sendData(Buffer.alloc(40_000), false);
    second?.stream.sendData(Buffer.alloc(40_000), false);
    server.frames();
    server.receive(frame(8, 0, 0, number32(49_152)));
    assert.deepEqual(server.frames(), ['DATA 1 16384', 'DATA 3 16384', 'DATA 1 16384']);
  });

  it('credits only what the reader took', () => {
    const server = new Server({ streamWindow: 100_000, connectionWindow: 200_000 });
    server.receive(headers(1, false, ...POST));
    const { stream } = server.last;
    stream.pause();
    for (let i = 0; i < 6; i++) server.receive(data(1, 'x'.repeat(16_000)));
    assert.deepEqual(server.frames(), []);
    assert.equal(server.last.body.length, 0);
    stream.resume();
    assert.equal(server.last.body.length, 96_000);
    assert.deepEqual(server.frames(), ['WINDOW 1 64000']);
  });

  it('ends a stream that sends more than its window', () => {
    const server = new Server({ streamWindow: 65_535, connectionWindow: 200_000 });
    server.receive(headers(1, false, ...POST));
    server.last.stream.pause();
    for (let i = 0; i < 5; i++) server.receive(data(1, 'x'.repeat(16_000)));
    assert.deepEqual(server.frames(), ['RST 1 3']);
    assert.equal(server.last.reset, 'protocol-error');
  });

  it('gives the connection window back for what nobody will read', () => {
    const server = new Server({ streamWindow: 100_000, connectionWindow: 100_000 });
    server.receive(headers(1, false, ...POST));
    server.last.stream.pause();
    for (let i = 0; i < 4; i++) server.receive(data(1, 'x'.repeat(16_000)));
    server.frames();
    server.last.stream.reset('local-reset');
    assert.deepEqual(server.frames(), ['RST 1 2', 'WINDOW 0 64000']);
  });

  it('delivers the end after a pause', () => {
    const server = new Server();
    server.receive(headers(1, false, ...POST));
    const seen = server.last;
    seen.stream.pause();
    server.receive(data(1, 'a'), data(1, 'b'), headers(1, true, 'x-t', '1'));
    assert.equal(seen.text, 'POST a / 20 -  [] false - -');
    seen.stream.resume();
    assert.equal(seen.text, 'POST a / 20 -  [ab] true x-t=1 -');
  });
});

describe('malformed requests', () => {
  for (const [what, sent] of [
    ['more', 'four'],
    ['less', 'ab'],
  ] as const) {
    it(`ends the stream alone whose body is ${what} than announced`, () => {
      const server = new Server({ streamErrors: false });
      server.receive(headers(1, false, ...POST, 'content-length', '3'), data(1, sent, true));
      assert.equal(server.last.reset, 'protocol-error');
      assert.deepEqual(server.frames(), ['RST 1 1']);
      server.receive(headers(3, true, ...GET));
      assert.equal(server.requests.length, 2);
    });
  }

  const cases: [string, string[]][] = [
    ['an upper-case name', [...GET, 'X-A', '1']],
    ['an empty name', [...GET, '', '1']],
    ['a colon in a name', [...GET, 'a:b', '1']],
    ['a line end in a value', [...GET, 'x-a', '1\r\nx-b: 2']],
    ['a NUL in a value', [...GET, 'x-a', '1\0']],
    ['a blank before a value', [...GET, 'x-a', ' 1']],
    ['a pseudo-field after a field', [...GET.slice(0, 6), 'x-a', '1', ':authority', 'a']],
    ['an unknown pseudo-field', [...GET, ':x', '1']],
    ['a pseudo-field of responses', [...GET, ':status', '200']],
    ['two paths', [...GET, ':path', '/b']],
    ['no method', GET.slice(2)],
    ['no scheme', [':method', 'GET', ':path', '/', ':authority', 'a']],
    ['no path', [':method', 'GET', ':scheme', 'http', ':authority', 'a']],
    ['no authority', GET.slice(0, 6)],
    ['an empty path', [':method', 'GET', ':scheme', 'http', ':path', '', ':authority', 'a']],
    ['a path with a blank', [':method', 'GET', ':scheme', 'http', ':path', '/a b', ':authority', 'a']],
    ['a path that is a URL', [':method', 'GET', ':scheme', 'http', ':path', 'http://b/', ':authority', 'a']],
    ['a method with a blank', [':method', 'GET /x', ':scheme', 'http', ':path', '/', ':authority', 'a']],
    ['an authority with user information', [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'u@a']],
    ['a Host that is another', [...GET, 'host', 'b']],
    ['Connection', [...GET, 'connection', 'close']],
    ['Transfer-Encoding', [...GET, 'transfer-encoding', 'chunked']],
    ['Upgrade', [...GET, 'upgrade', 'h2c']],
    ['TE with codings', [...GET, 'te', 'gzip']],
    ['a Content-Length that is no number', [...GET, 'content-length', '0x1']],
    ['two Content-Lengths', [...GET, 'content-length', '0', 'content-length', '0']],
    ['a Content-Length without DATA', [...GET, 'content-length', '3']],
    ['CONNECT with a path', [...GET.slice(2), ':method', 'CONNECT']],
    ['extended CONNECT that was not offered', [':method', 'CONNECT', ':protocol', 'websocket', ...GET.slice(2)]],
  ];
  for (const [what, pairs] of cases) {
    it(`refuses ${what}, by the stream or by the connection as configured`, () => {
      const byStream = new Server({ streamErrors: true });
      byStream.receive(headers(1, true, ...pairs), headers(3, true, ...GET));
      assert.deepEqual(byStream.frames(), ['RST 1 1']);
      assert.equal(byStream.requests.length, 1);
      const byConnection = new Server();
      byConnection.receive(headers(1, true, ...pairs), headers(3, true, ...GET));
      assert.match(byConnection.frames().join(), /^GOAWAY \d 1$/);
      assert.equal(byConnection.requests.length, 0);
      assert.equal(byConnection.transport.ended, true);
      assert.equal(byConnection.stats.named('rx_messaging_error'), 1);
    });
  }

  it('refuses DATA beyond the Content-Length, and less than it', () => {
    for (const frames of [[data(1, 'abcd')], [data(1, 'ab', true)], [data(1, 'ab'), headers(1, true, 'x-t', '1')]]) {
      const server = new Server({ streamErrors: true });
      server.receive(headers(1, false, ...POST, 'content-length', '3'), ...frames);
      assert.deepEqual(server.frames(), ['RST 1 1']);
      assert.equal(server.last.reset, 'protocol-error');
    }
  });

  it('answers a fragment with 400', () => {
    const server = new Server();
    server.receive(headers(1, true, ...GET.slice(0, 4), ':path', '/a#b', ':authority', 'a'));
    assert.deepEqual(server.frames(), ['HEADERS 1 end']);
    assert.equal(server.faults[0]?.details, 'path_normalization_failed');
  });

  it('drops or refuses names with underscores as configured', () => {
    const drops = new Server({}, 'drop');
    drops.receive(headers(1, true, ...GET, 'x_a', '1'));
    assert.equal(drops.last.line, 'GET a / 20 - ');
    assert.equal(drops.stats.named('dropped_headers_with_underscores'), 1);
    const refuses = new Server({}, 'reject');
    refuses.receive(headers(1, true, ...GET, 'x_a', '1'), headers(3, true, ...GET));
    assert.equal(refuses.requests.length, 1);
    assert.equal(refuses.stats.named('requests_rejected_with_underscores_in_headers'), 1);
  });

  it('resets a request with too large fields', () => {
    const server = new Server();
    server.receive(headers(1, true, ...GET, 'x-a', 'a'.repeat(15_000)));
    assert.deepEqual(server.frames(), []);
    const large = block(...GET, ...['x-a', 'x-b', 'x-c', 'x-d', 'x-e'].flatMap((name) => [name, 'a'.repeat(13_000)]));
    const cut = 15_000;
    server.receive(frame(1, END, 3, large.subarray(0, cut)));
    for (let at = cut; at < large.length; at += cut) {
      server.receive(frame(9, at + cut >= large.length ? END_HEADERS : 0, 3, large.subarray(at, at + cut)));
    }
    assert.equal(server.stats.named('header_list_size_too_large'), 1);
    assert.deepEqual(server.frames(), ['RST 3 2']);
  });

  it('resets a request with too many fields', () => {
    const server = new Server();
    const many = Array.from({ length: 101 }, (_, i) => [`x-${i}`, 'v']).flat();
    server.receive(headers(1, true, ...GET, ...many), headers(3, true, ...GET));
    assert.equal(server.stats.named('header_overflow'), 1);
    assert.deepEqual(server.frames(), ['RST 1 2']);
    assert.equal(server.requests.length, 1);
  });
});

describe('floods', () => {
  const flood = (server: Server, one: Buffer, count: number) => {
    for (let i = 0; i < count; i++) server.receive(one);
    return server.frames().at(-1);
  };

  it('ends a connection that sends empty DATA', () => {
    const server = new Server();
    server.receive(headers(1, false, ...POST));
    assert.equal(flood(server, data(1, ''), 2), 'GOAWAY 1 11');
    assert.equal(server.stats.named('inbound_empty_frames_flood'), 1);
    assert.equal(server.last.reset, 'protocol-error');
  });

  it('ends a connection that sends CONTINUATION without end', () => {
    const server = new Server();
    server.receive(frame(1, 0, 1, block(...GET)));
    const one = frame(9, 0, 1, block('x-a', 'v'));
    assert.equal(flood(server, one, 100), 'GOAWAY 0 11');
  });

  it('ends a connection that sends PRIORITY without end', () => {
    const server = new Server();
    assert.equal(flood(server, frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 1])), 101), 'GOAWAY 0 11');
    assert.equal(server.stats.named('inbound_priority_frames_flood'), 1);
  });

  it('ends a connection that sends WINDOW_UPDATE without reason', () => {
    const server = new Server();
    assert.equal(flood(server, frame(8, 0, 0, number32(1)), 6), 'GOAWAY 0 11');
    assert.equal(server.stats.named('inbound_window_update_frames_flood'), 1);
  });

  for (const [what, one] of [
    ['PING', frame(6, 0, 0, '12345678')],
    ['SETTINGS', frame(SETTINGS, 0, 0)],
  ] as const) {
    it(`ends a connection that sends ${what} and does not read the answers`, () => {
      const server = new Server();
      server.receive(headers(1, true, ...GET));
      server.transport.take();
      server.transport.holds = true;
      assert.equal(flood(server, one, 1063), 'GOAWAY 1 11');
      assert.equal(server.stats.named('outbound_control_flood'), 1);
    });
  }

  it('lets a connection PING for ever that reads the answers', () => {
    const server = new Server();
    assert.equal(flood(server, frame(6, 0, 0, '12345678'), 3000), 'PING ack');
  });

  it('keeps a busy connection whose transport is never seen empty', () => {
    const server = new Server();
    server.transport.takesLate = true;
    assert.equal(flood(server, frame(6, 0, 0, '12345678'), 30_000), 'PING ack');
  });

  it('ends a connection that makes us reset streams and does not read', () => {
    const server = new Server({ maxConcurrentStreams: 0 });
    server.receive();
    server.transport.take();
    server.transport.holds = true;
    for (let id = 1; id < 2200; id += 2) server.receive(headers(id, true, ...GET));
    assert.match(server.frames().at(-1) ?? '', /^GOAWAY \d+ 11$/);
    assert.equal(server.requests.length, 0);
  });
});
