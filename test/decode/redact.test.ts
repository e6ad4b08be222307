import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, type MessageObject, toJson } from '../../protos/index.ts';
import { redactResource } from '../../xds-client/decode/index.ts';
import { CLUSTER, packed, SECRET, staticCluster } from './decoding.ts';

function redacted(type: string, json: object): unknown {
  return toJson(type, redactResource(`type.googleapis.com/${type}`, decodeMessage(type, packed(type, json).value)));
}

test('keys and passwords do not show, certificates do', () => {
  const secret = {
    name: 's',
    tls_certificate: {
      certificate_chain: { inline_string: 'chain' },
      private_key: { inline_string: 'key' },
      password: { filename: '/password' },
    },
  };
  assert.deepEqual(redacted(SECRET, secret), {
    name: 's',
    tls_certificate: {
      certificate_chain: { inline_string: 'chain' },
      private_key: { inline_string: '[redacted]' },
      password: { filename: '[redacted]' },
    },
  });
});

test('bytes read as the bytes of the word', () => {
  const secret = {
    name: 's',
    tls_certificate: { private_key: { inline_bytes: Buffer.from('key').toString('base64') } },
  };
  assert.deepEqual(redacted(SECRET, secret), {
    name: 's',
    tls_certificate: { private_key: { inline_bytes: 'W3JlZGFjdGVkXQ==' } },
  });
});

test('keys within typed configurations do not show', () => {
  const context = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
  const cluster = staticCluster({
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': context,
        sni: 'a',
        common_tls_context: { tls_certificates: [{ private_key: { inline_string: 'SECRET' } }] },
      },
    },
  });
  const shown = JSON.stringify(redacted(CLUSTER, cluster));
  assert.ok(!shown.includes('SECRET'));
  assert.ok(shown.includes('"private_key":{"inline_string":"[redacted]"}'));
  assert.ok(shown.includes('"sni":"a"'));
});

test('the message itself is left as it was', () => {
  const message: MessageObject = { name: 's', generic_secret: { secret: { inline_string: 'x' } } };
  redactResource(SECRET, message);
  assert.deepEqual(message, { name: 's', generic_secret: { secret: { inline_string: 'x' } } });
});
