/** Which protocol a cluster is spoken to in: HttpProtocolOptions, or the fields of the cluster that said it before. */
import type { MessageObject } from '../../protos/index.ts';
import type { Cluster, UpstreamProtocol } from '../model/cluster.ts';
import { type DecodeContext, type Extension, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { asAny, entries, flag, has, message, word } from './fields.ts';
import { decodeCommonOptions, decodeHttp1Options, decodeHttp2Options, NO_HTTP3 } from './http-options.ts';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

support(OPTIONS, {
  acts: [
    'common_http_protocol_options',
    'upstream_http_protocol_options',
    'explicit_http_config',
    'use_downstream_protocol_config',
    'auto_config',
  ],
  refused: {
    http_filters: 'HTTP filters run downstream of the router alone',
    header_validation_config: 'custom header validators are not built',
  },
});
support(`${OPTIONS}.ExplicitHttpConfig`, {
  acts: ['http_protocol_options', 'http2_protocol_options'],
  refused: { http3_protocol_options: NO_HTTP3 },
});
support(`${OPTIONS}.UseDownstreamHttpConfig`, {
  acts: ['http_protocol_options', 'http2_protocol_options'],
  ignored: { http3_protocol_options: NO_HTTP3 },
});
support(`${OPTIONS}.AutoHttpConfig`, {
  acts: ['http_protocol_options', 'http2_protocol_options'],
  ignored: { http3_protocol_options: NO_HTTP3, alternate_protocols_cache_options: NO_HTTP3 },
});
support('envoy.config.core.v3.UpstreamHttpProtocolOptions', {
  acts: ['auto_sni', 'auto_san_validation'],
  refused: { override_auto_sni_header: 'the SNI is taken from the authority' },
});

/** Handed on as it is: the cluster reads it, for its own fields fill in what it leaves out. */
export const HTTP_PROTOCOL_OPTIONS: Extension<MessageObject> = {
  name: OPTIONS,
  type: OPTIONS,
  decode: (options) => options,
};

export type UpstreamHttp = Pick<Cluster, 'protocol' | 'common' | 'autoSni' | 'autoSanValidation'>;

function decodeProtocol(options: MessageObject, ctx: DecodeContext): UpstreamProtocol {
  const explicit = message(options, 'explicit_http_config');
  const downstream = message(options, 'use_downstream_protocol_config');
  const config = explicit ?? downstream ?? message(options, 'auto_config');
  const http1 = decodeHttp1Options(message(config, 'http_protocol_options'), ctx);
  const http2 = decodeHttp2Options(message(config, 'http2_protocol_options'));
  if (explicit !== undefined) {
    return has(explicit, 'http2_protocol_options') ? { kind: 'http2', http2 } : { kind: 'http1', http1 };
  }
  return { kind: downstream === undefined ? 'auto' : 'downstream', http1, http2 };
}

function decodeOptions(options: MessageObject, ctx: DecodeContext): UpstreamHttp {
  const upstream = message(options, 'upstream_http_protocol_options');
  return {
    protocol: decodeProtocol(options, ctx),
    common: decodeCommonOptions(message(options, 'common_http_protocol_options'), ctx),
    autoSni: flag(upstream, 'auto_sni'),
    autoSanValidation: flag(upstream, 'auto_san_validation'),
  };
}

/** The cluster's own fields, deprecated and still taken. */
function decodeDeprecated(cluster: MessageObject, ctx: DecodeContext): UpstreamHttp {
  const upstream = message(cluster, 'upstream_http_protocol_options');
  const http1 = decodeHttp1Options(message(cluster, 'http_protocol_options'), ctx);
  const http2 = decodeHttp2Options(message(cluster, 'http2_protocol_options'));
  const followsDownstream = word(cluster, 'protocol_selection', '') === 'USE_DOWNSTREAM_PROTOCOL';
  let protocol: UpstreamProtocol = { kind: 'http1', http1 };
  if (followsDownstream) protocol = { kind: 'downstream', http1, http2 };
  else if (has(cluster, 'http2_protocol_options')) protocol = { kind: 'http2', http2 };
  return {
    protocol,
    common: decodeCommonOptions(message(cluster, 'common_http_protocol_options'), ctx),
    autoSni: flag(upstream, 'auto_sni'),
    autoSanValidation: flag(upstream, 'auto_san_validation'),
  };
}

/** Of a Cluster: what `typed_extension_protocol_options` says, or else the cluster's deprecated fields. */
export function decodeUpstreamHttp(cluster: MessageObject, ctx: DecodeContext): UpstreamHttp {
  let chosen: UpstreamHttp | undefined;
  const extensions = entries(cluster, 'typed_extension_protocol_options');
  if (extensions.length > 0) {
    ctx.at('typed_extension_protocol_options', () => {
      for (const [name, value] of extensions) {
        ctx.atKey(name, () => {
          const found = decodeExtension('upstream-options', asAny(value), name, ctx);
          if (found.kind === 'acts') chosen = decodeOptions(found.value, ctx);
        });
      }
    });
  }
  return chosen ?? decodeDeprecated(cluster, ctx);
}
