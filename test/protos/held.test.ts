import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, encodeMessage, fromJson, type JsonProblem, mergeMessage, toJson } from '../../protos/index.ts';

const LISTENER = 'envoy.config.listener.v3.Listener';
const TCP = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const LOG = 'envoy.extensions.access_loggers.file.v3.FileAccessLog';
const JSON_FORM = {
  name: 'l',
  filter_chains: [
    {
      filters: [
        {
          name: 'tcp',
          typed_config: {
            '@type': `type.googleapis.com/${TCP}`,
            stat_prefix: 'a',
            cluster: 'b',
            idle_timeout: '5s',
            max_connect_attempts: 3,
            access_log: [{ name: 'f', typed_config: { '@type': `type.googleapis.com/${LOG}`, path: '/dev/null' } }],
          },
        },
        { name: 'empty', typed_config: { '@type': `type.googleapis.com/${TCP}` } },
      ],
    },
  ],
};

function read(anys: 'bytes' | 'held') {
  const problems: JsonProblem[] = [];
  const message = fromJson(LISTENER, JSON_FORM, problems, anys);
  assert.deepEqual(problems, []);
  return message;
}

const configOf = (message: ReturnType<typeof read>) => message.filter_chains?.[0]?.filters?.[0]?.typed_config;

test('a held message decodes to what its bytes decode to', () => {
  const [held, bytes] = [configOf(read('held')), configOf(read('bytes'))];
  assert.equal(held?.type_url, bytes?.type_url);
  const [one, other] = [
    decodeMessage(TCP, held?.value ?? Buffer.alloc(1)),
    decodeMessage(TCP, bytes?.value ?? Buffer.alloc(1)),
  ];
  assert.deepEqual({ ...one, access_log: [] }, { ...other, access_log: [] });
  const logOf = ({ access_log }: typeof one) =>
    decodeMessage(LOG, access_log?.[0]?.typed_config?.value ?? Buffer.alloc(1));
  assert.deepEqual(logOf(one), logOf(other));
});

test('what holds a message encodes to the same bytes and the same JSON', () => {
  assert.deepEqual(encodeMessage(LISTENER, read('held')), encodeMessage(LISTENER, read('bytes')));
  assert.deepEqual(toJson(LISTENER, read('held')), toJson(LISTENER, read('bytes')));
});

test('merging keeps it', () => {
  const merged = mergeMessage(LISTENER, {}, read('held'));
  assert.deepEqual(encodeMessage(LISTENER, merged), encodeMessage(LISTENER, read('bytes')));
});

test('decoding it as another type reads its bytes', () => {
  const value = configOf(read('held'))?.value ?? Buffer.alloc(1);
  assert.deepEqual(decodeMessage(LOG, value), decodeMessage(LOG, configOf(read('bytes'))?.value ?? Buffer.alloc(1)));
});
