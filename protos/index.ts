/**
 * The proto messages Tollway speaks. Implementation to come from protos/loader.ts; the shape of a decoded message is
 * proto-loader's with `keepCase`, `enums: String`, `longs: Number`, `bytes: Buffer`, no defaults, no virtual oneofs: only
 * what was set is there. An `Any` stays `{type_url, value}` bytes until somebody decodes it.
 */

export type { Any, Duration, FieldDescriptor, JsonProblem, MessageObject } from './loader.ts';
export {
  decodeMessage,
  encodeMessage,
  fromJson,
  hasMessage,
  messageFields,
  serviceDefinition,
  toJson,
} from './loader.ts';
