/**
 * The proto messages Tollway speaks, as the install step compiled them. The shape of a decoded message is
 * proto-loader's with `keepCase`, `enums: String`, `longs: Number`, `bytes: Buffer`, no defaults, no virtual oneofs: only
 * what was set is there. The generated types say so: `import type { Cluster, Cluster_LbPolicy } from
 * '../../protos/generated/envoy/config/cluster/v3.d.ts'`. An `Any` stays `{type_url, value}` bytes until somebody decodes it.
 */

export type {
  Any,
  Duration,
  FieldDescriptor,
  JsonProblem,
  MessageName,
  MessageObject,
  UnknownField,
} from './loader.ts';
export {
  decodeMessage,
  encodeMessage,
  fromJson,
  hasMessage,
  mergeMessage,
  messageFields,
  serviceDefinition,
  toJson,
  unknownFields,
} from './loader.ts';
