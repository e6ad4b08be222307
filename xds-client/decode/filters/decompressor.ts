/** The decompressor filter. */
import type { MessageObject } from '../../../protos/index.ts';
import type { DecompressedDirection, DecompressorConfig } from '../../model/filters/compression.ts';
import { plain } from '../../model/plain.ts';
import { decodeEnabled } from '../common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from '../context.ts';
import { flag, message, wrappedFlag } from '../fields.ts';
import { decodeLibrary } from './compression-libraries.ts';

const TYPE = 'envoy.extensions.filters.http.decompressor.v3.Decompressor';

support(TYPE, { acts: ['decompressor_library', 'request_direction_config', 'response_direction_config'] });
support(`${TYPE}.CommonDirectionConfig`, { acts: ['enabled', 'ignore_no_transform_header'] });
support(`${TYPE}.RequestDirectionConfig`, { acts: ['common_config', 'advertise_accept_encoding'] });
support(`${TYPE}.ResponseDirectionConfig`, { acts: ['common_config'] });

function decodeDirection(direction: MessageObject | undefined): DecompressedDirection {
  const common = message(direction, 'common_config');
  return {
    enabled: decodeEnabled(common, 'enabled'),
    ignoreNoTransform: flag(common, 'ignore_no_transform_header'),
  };
}

function decodeDecompressor(config: MessageObject, ctx: DecodeContext): DecompressorConfig | undefined {
  const library = decodeLibrary('decompressor-library', config, ctx);
  if (library === undefined) return undefined;
  const request = message(config, 'request_direction_config');
  return {
    ...library,
    request: decodeDirection(request),
    response: decodeDirection(message(config, 'response_direction_config')),
    advertise: wrappedFlag(request, 'advertise_accept_encoding') ?? true,
  };
}

export const DECOMPRESSOR: Extension<ExtensionResults['http-filter']> = {
  name: 'envoy.filters.http.decompressor',
  type: TYPE,
  decode: (config, ctx) => ({ terminal: false, config: plain(decodeDecompressor(config, ctx) ?? {}) }),
};
