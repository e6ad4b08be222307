import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ResponseFlag, type StreamInfo } from '../../../proxy/http/stream-info.ts';
import { flagText, longFlagText } from '../../../proxy/observe/access-log/flags.ts';
import {
  compileFormat,
  compileJsonFormat,
  DEFAULT_FORMAT,
  type FormatOptions,
} from '../../../proxy/observe/access-log/format.ts';
import { finished, headers, TLS } from '../stream-info.ts';

function write(text: string, info: StreamInfo = finished(), options: FormatOptions = {}): string {
  const compiled = compileFormat(text, options);
  assert.ok('format' in compiled, JSON.stringify(compiled));
  return compiled.format(info);
}

test('writes the default line as Envoy does', () => {
  assert.equal(
    write(DEFAULT_FORMAT),
    '[2026-11-21T12:01:59.832Z] "GET /ready HTTP/1.1" 200 - 0 5 3 0 "-" "curl/7.88.1" ' +
      '"543f2e80-8714-44f5-aff1-9e01cf880b7b" "127.0.0.1:28910" "127.0.0.1:28901"\n',
  );
});

test('takes the alternative header when the first is absent', () => {
  const info = finished({ b: 'two' });
  assert.equal(write('%REQ(A?B)% %REQ(A)% %REQ(B?A)%', info), 'two - two');
  info.originalPath = '/before';
  info.request.path = '/after';
  assert.equal(write('%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', info), '/before');
});

test('tells paths before and after a rewrite, with and without their query', () => {
  const info = finished();
  assert.equal(write('%PATH% %PATH(WQ:ORIG)%', info), '/ready -');
  info.originalPath = '/before?a=1&b=x%20y&token=hush';
  info.request.path = '/after?a=1&b=x%20y&token=hush';
  assert.equal(write('%PATH(NQ)% %PATH(NQ:PATH)% %PATH(NQ:ORIG)% %PATH:7%', info), '/before /after /before /before');
  assert.equal(write('%QUERY_PARAM(b)% %QUERY_PARAM(c)%', info), 'x y -');
  assert.match(write('%QUERY_PARAMS%', info), /^a=1&b=x%20y&token=/);
  for (const format of ['%QUERY_PARAMS%', '%PATH%', '%PATH(WQ:PATH)%', '%QUERY_PARAM(token)%'])
    assert.doesNotMatch(write(format, info), /hush/);
  assert.match(write('%QUERY_PARAMS%', info, { secrets: 'keep' }), /token=hush$/);
});

test('takes the first of several operators that has something to say', () => {
  const one = '{"command": "REQ", "param": "user-agent", "max_length": 4}';
  assert.equal(write(`%COALESCE({"operators": ["TRACE_ID", ${one}, "ROUTE_NAME"]})%`), 'curl');
  assert.equal(write(`%COALESCE({"operators": ["TRACE_ID", ${one}]}):2%`), 'cu');
  assert.equal(write('%COALESCE({"operators": ["TRACE_ID"]})%'), '-');
});

test('names a client that a hop before told of, without a port', () => {
  const info = finished();
  info.clientAddress = '203.0.113.9';
  const client = '%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%';
  assert.equal(write(client, info), '203.0.113.9:0 203.0.113.9 0');
  assert.doesNotMatch(write('%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%', info), /203/);
});

test('gives the first of several fields', () => {
  const info = finished({ many: 'one' });
  info.request.headers.add('many', 'two');
  assert.equal(write('%REQ(many)%', info), 'one');
});

test('shortens what has a length', () => {
  assert.equal(write('%REQ(user-agent):4%|%REQ(nothing):4%'), 'curl|-');
});

test('leaves absent values out where the format says so', () => {
  assert.equal(write('<%REQ(x-none)%>', finished(), { omitEmpty: true }), '<>');
});

test('refuses what it does not know and says what', () => {
  for (const [text, reason] of [
    ['%NO_SUCH_THING%', /NO_SUCH_THING/],
    ['50% of', /% of/],
    ['%REQ()%', /header name/],
    ['%START_TIME(%Q)%', /%Q/],
    ['%RESPONSE_CODE(x)%', /no argument/],
    ['%COMMON_DURATION(A:B:s)%', /PRECISION/],
    ['%METADATA(NOWHERE:x)%', /NOWHERE/],
    ['%GRPC_STATUS(LOUD)%', /LOUD/],
    ['%FILTER_STATE%', /key/],
    ['%PATH(XQ)%', /XQ/],
    ['%PATH(NQ:HERE)%', /HERE/],
    ['%QUERY_PARAMS(X)%', /"X"/],
    ['%COALESCE(x)%', /JSON/],
    ['%COALESCE({"operators":[]})%', /JSON/],
    ['%COALESCE({"operators":["NOPE"]})%', /NOPE/],
    ['%COALESCE({"operators":[7]})%', /7/],
  ] as const) {
    const compiled = compileFormat(text);
    assert.ok('error' in compiled, text);
    assert.match(compiled.error, reason);
  }
  assert.ok('error' in compileJsonFormat({ a: { b: ['%NOPE%'] } }));
});

test('formats times by strftime and by fractions', () => {
  const info = finished();
  info.startTime += 0.138;
  assert.equal(
    write('%START_TIME(%s.%3f)% %START_TIME(%Y/%m/%dT%H:%M:%S%z.%6f %f %9f %E3S %E*S)%', info),
    '1795262519.832 2026/11/21T12:01:59+0000.832138 832138000 832138000 59.832 59.832138',
  );
  assert.equal(
    write('%START_TIME(%a %b %e %j %I%p %y %T %D %F %R %n%%)%'),
    'Sat Nov 21 325 12PM 26 12:01:59 11/21/26 2026-11-21 12:01 \n%',
  );
});

test('writes JSON with the types that Envoy gives it, keys sorted', () => {
  const info = finished();
  const compiled = compileJsonFormat({
    code: '%RESPONSE_CODE%',
    dur: '%DURATION%',
    bytes: '%BYTES_SENT% b',
    missing: '%REQ(x-none)%',
    nested: { l: ['x', '%RESPONSE_FLAGS%'], b: true, a: '%PROTOCOL%', n: 5 },
    md: '%METADATA(ROUTE:com.test)%',
    one: '%METADATA(ROUTE:com.test:a)%',
    lb: '%UPSTREAM_METADATA(envoy.lb:canary)%',
    dyn: '%DYNAMIC_METADATA(x:y)%',
    port: '%DOWNSTREAM_REMOTE_PORT%',
    cd: '%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%',
    rd: '%RESPONSE_DURATION%',
    rtd: '%RESPONSE_TX_DURATION%',
    fs: '%FILTER_STATE(x)%',
    multi: '%RESPONSE_CODE% %PROTOCOL%',
    pct: '100%%',
  });
  assert.ok('format' in compiled);
  assert.equal(
    compiled.format(info),
    '{"bytes":"5 b","cd":3019,"code":200,"dur":3,"dyn":null,"fs":null,"lb":true,"md":{"a":1.5,"b":"x"},"missing":null,' +
      '"multi":"200 HTTP/1.1","nested":{"a":"HTTP/1.1","b":true,"l":["x","-"],"n":5},"one":1.5,"pct":"100%",' +
      '"port":40001,"rd":2,"rtd":0}',
  );
});

test('writes JSON that reads back, whatever a value holds', () => {
  const agent = compileJsonFormat({ 'a"key': '%REQ(user-agent)%', mixed: 'is %REQ(user-agent)%' });
  assert.ok('format' in agent);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (value) => {
      const info = finished({ 'user-agent': value });
      const shown = write('%REQ(user-agent)%', info);
      assert.equal(agent.format(info), JSON.stringify({ 'a"key': shown, mixed: `is ${shown}` }));
    }),
  );
});

test('leaves absent members out of JSON when asked to', () => {
  const shape = { a: '%REQ(x-none)%', b: '%PROTOCOL%', c: null, d: { e: '%REQ(x-none)%' } };
  const compiled = compileJsonFormat(shape, { omitEmpty: true });
  assert.ok('format' in compiled);
  assert.equal(compiled.format(finished()), '{"b":"HTTP/1.1","d":{}}');
});

test('tells what TLS told', () => {
  const info = finished({}, '/', TLS);
  assert.equal(
    write(
      '%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT% ' +
        '%DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_CERT_V_START(%b %d)% %DOWNSTREAM_PEER_CERT_V_END% ' +
        '%DOWNSTREAM_LOCAL_URI_SAN% %REQUESTED_SERVER_NAME% %UPSTREAM_TLS_VERSION%',
      info,
    ),
    'TLSv1.3 TLS_AES_128_GCM_SHA256 spiffe://mesh/ns/pay/sa/payment CN=payment 0e666b Nov 21 2026-12-21T12:00:00.000Z ' +
      'spiffe://mesh/ns/settle/sa/settlement settlement.mesh -',
  );
});

test('writes addresses with and without their ports', () => {
  assert.equal(
    write(
      '%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%',
    ),
    '10.0.0.9:40001 10.0.0.9 28910 127.0.0.1 50000',
  );
});

test('spells a gRPC status in three ways, for gRPC requests only', () => {
  const info = finished({ 'content-type': 'application/grpc' });
  info.responseTrailers = headers({ 'grpc-status': '5' });
  assert.equal(
    write('%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%', info),
    'NotFound NOT_FOUND 5 5',
  );
  assert.equal(write('%GRPC_STATUS%'), '-');
});

test('spells flags in the order Envoy has', () => {
  const flags = ResponseFlag.UpstreamRetryLimitExceeded | ResponseFlag.UpstreamConnectionFailure;
  assert.equal(flagText(flags), 'URX,UF');
  assert.equal(longFlagText(flags), 'UpstreamRetryLimitExceeded,UpstreamConnectionFailure');
  assert.equal(flagText(0), '-');
  let every = 0;
  for (const bit of Object.values(ResponseFlag)) every |= bit;
  assert.equal(flagText(every).split(',').length, Object.keys(ResponseFlag).length);
});

test('never shows a secret in a log, and keeps it for headers that are sent on', () => {
  const info = finished(
    {
      authorization: 'Bearer abc.def',
      cookie: 'sid=1',
      'x-api-key': 'k-123',
      'x-note': 'card 4111 1111 1111 1111 and bearer xyz123abc456',
      'x-forwarded-for': '10.1.2.3',
    },
    '/pay?token=hush&card=4111111111111111&n=1',
  );
  const line = write(
    '%REQ(authorization)%|%REQ(Cookie)%|%REQ(x-api-key)%|%REQ(x-note)%|%REQ(:PATH)%|%REQ(X-FORWARDED-FOR)%',
    info,
  );
  for (const secret of ['abc.def', 'sid=1', 'k-123', '4111 1111', '41111111', 'xyz123abc456', 'hush']) {
    assert.ok(!line.includes(secret), `${secret} in ${line}`);
  }
  assert.match(line, /^\[redacted\]\|\[redacted\]\|\[redacted\]\|/);
  assert.match(line, /n=1\|10\.1\.2\.3$/);
  assert.equal(write('%REQ(authorization)%', info, { secrets: 'keep' }), 'Bearer abc.def');
});

test('puts the body of a local reply where the format wants it', () => {
  const compiled = compileFormat('{%LOCAL_REPLY_BODY%}');
  assert.ok('format' in compiled);
  assert.equal(compiled.format(finished(), { localReplyBody: 'no healthy upstream' }), '{no healthy upstream}');
});
