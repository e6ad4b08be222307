/** The compressor filter. Fields of the response may stand in the filter itself, as they did before directions. */
import type { MessageObject } from '../../../protos/index.ts';
import type { CompressedDirection, CompressorConfig, CompressorRouteConfig } from '../../model/filters/compression.ts';
import { plain } from '../../model/plain.ts';
import { decodeEnabled } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { flag, has, message, texts, wrappedFlag, wrappedNumber } from '../fields.ts';
import { decodeLibrary } from './compression-libraries.ts';

const NAME = 'envoy.filters.http.compressor';
const PACKAGE = 'envoy.extensions.filters.http.compressor.v3';
const TYPE = `${PACKAGE}.Compressor`;
const ROUTE_TYPE = `${PACKAGE}.CompressorPerRoute`;
const MIN_LENGTH = 30;

/** What is compressed where the configuration names no types. */
const CONTENT_TYPES = [
  'text/html',
  'text/plain',
  'text/css',
  'application/javascript',
  'application/x-javascript',
  'text/javascript',
  'text/x-javascript',
  'text/ecmascript',
  'text/js',
  'text/jscript',
  'text/x-js',
  'application/ecmascript',
  'application/x-json',
  'application/xml',
  'application/json',
  'image/svg+xml',
  'text/xml',
  'application/xhtml+xml',
  'application/grpc-web',
  'application/grpc-web+proto',
  'application/grpc-web+json',
  'application/grpc-web+thrift',
];

support(TYPE, {
  acts: [
    'content_length',
    'content_type',
    'disable_on_etag_header',
    'remove_accept_encoding_header',
    'runtime_enabled',
    'compressor_library',
    'request_direction_config',
    'response_direction_config',
    'choose_first',
  ],
});
support(`${TYPE}.CommonDirectionConfig`, { acts: ['enabled', 'min_content_length', 'content_type'] });
support(`${TYPE}.RequestDirectionConfig`, { acts: ['common_config'] });
support(`${TYPE}.ResponseDirectionConfig`, {
  acts: ['common_config', 'disable_on_etag_header', 'remove_accept_encoding_header'],
});
support(ROUTE_TYPE, { acts: ['disabled', 'overrides'] });
support(`${PACKAGE}.CompressorOverrides`, { acts: ['response_direction_config'] });
support(`${PACKAGE}.ResponseDirectionOverrides`, { acts: ['remove_accept_encoding_header'] });

/** `lengthField` and `enabledField` differ between a direction and the filter itself. */
function decodeDirection(
  common: MessageObject | undefined,
  lengthField: string,
  enabledField: string,
): CompressedDirection {
  const types = texts(common, 'content_type');
  return {
    enabled: decodeEnabled(common, enabledField),
    minLength: wrappedNumber(common, lengthField) ?? MIN_LENGTH,
    contentTypes: (types.length === 0 ? CONTENT_TYPES : types).map((type) => type.toLowerCase()),
  };
}

function decodeCompressor(config: MessageObject, ctx: DecodeContext): CompressorConfig | undefined {
  const library = decodeLibrary('compressor-library', config, ctx);
  if (library === undefined) return undefined;
  const request = message(config, 'request_direction_config');
  const response = message(config, 'response_direction_config');
  // A direction's own message is all that counts where it is there.
  const options = response ?? config;
  return {
    ...library,
    request: {
      ...decodeDirection(message(request, 'common_config'), 'min_content_length', 'enabled'),
      ...(request === undefined ? { enabled: { value: false, key: undefined } } : {}),
    },
    response: {
      ...(response === undefined
        ? decodeDirection(config, 'content_length', 'runtime_enabled')
        : decodeDirection(message(response, 'common_config'), 'min_content_length', 'enabled')),
      disableOnEtag: flag(options, 'disable_on_etag_header'),
      removeAcceptEncoding: flag(options, 'remove_accept_encoding_header'),
    },
    responseStats: response !== undefined,
    chooseFirst: flag(config, 'choose_first'),
  };
}

export const COMPRESSOR: Extension<ExtensionResults['http-filter']> = {
  name: NAME,
  type: TYPE,
  decode: (config, ctx) => ({ terminal: false, config: plain(decodeCompressor(config, ctx) ?? {}) }),
};

export const COMPRESSOR_ROUTE: Extension<ExtensionResults['http-filter-route']> = {
  name: NAME,
  type: ROUTE_TYPE,
  decode: (config) => {
    const response = message(message(config, 'overrides'), 'response_direction_config');
    const removes = wrappedFlag(response, 'remove_accept_encoding_header');
    const decoded: CompressorRouteConfig = {
      ...(flag(config, 'disabled') ? { disabled: true } : {}),
      ...(has(message(config, 'overrides'), 'response_direction_config') ? { enabled: true } : {}),
      ...(removes === undefined ? {} : { removeAcceptEncoding: removes }),
    };
    return plain(decoded);
  },
};
