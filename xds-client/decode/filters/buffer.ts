/** The buffer filter: whole requests, up to a size. */
import type { MessageObject } from '../../../protos/index.ts';
import type { BufferConfig, BufferRouteConfig } from '../../model/filters/buffer.ts';
import { plain } from '../../model/plain.ts';
import { type Extension, type ExtensionResults, support } from '../context.ts';
import { message, wrappedNumber } from '../fields.ts';

const NAME = 'envoy.filters.http.buffer';
const TYPE = 'envoy.extensions.filters.http.buffer.v3.Buffer';
const ROUTE_TYPE = `${TYPE}PerRoute`;

support(TYPE, { acts: ['max_request_bytes'] });
support(ROUTE_TYPE, { acts: ['disabled', 'buffer'] });

function decodeBuffer(config: MessageObject): BufferConfig {
  return { maxRequestBytes: wrappedNumber(config, 'max_request_bytes') ?? 0 };
}

export const BUFFER: Extension<ExtensionResults['http-filter']> = {
  name: NAME,
  type: TYPE,
  decode: (config) => ({ terminal: false, config: plain(decodeBuffer(config)) }),
};

export const BUFFER_ROUTE: Extension<ExtensionResults['http-filter-route']> = {
  name: NAME,
  type: ROUTE_TYPE,
  decode: (config) => {
    const buffer = message(config, 'buffer');
    const decoded: BufferRouteConfig = buffer === undefined ? {} : { buffer: decodeBuffer(buffer) };
    return plain(decoded);
  },
};
