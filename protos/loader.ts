/** google.protobuf.Any. `type_url` is `type.googleapis.com/<full name>`. */
export interface Any {
  type_url: string;
  value: Buffer;
}

export interface Duration {
  seconds?: number;
  nanos?: number;
}

/** A decoded message; the generated types in protos/generated/ name its members. */
export interface MessageObject {
  [field: string]: unknown;
}

export interface FieldDescriptor {
  readonly name: string;
  /** `string`, `uint32`, ..., or the full name of a message or enum. */
  readonly type: string;
  readonly repeated: boolean;
  /** Of a map field: the key's scalar type. */
  readonly mapKey: string | undefined;
  readonly oneof: string | undefined;
  readonly deprecated: boolean;
}

/** Something wrong in a JSON or YAML message. `path` is relative to the message given. */
export interface JsonProblem {
  readonly path: string;
  readonly message: string;
}

/** Decodes wire bytes. Throws `Error` with the type's name when they are not that message. */
export declare function decodeMessage(type: string, bytes: Uint8Array): MessageObject;
export declare function encodeMessage(type: string, message: MessageObject): Buffer;
/**
 * proto3 JSON (snake_case or camelCase, durations as `5s`, wrappers bare, Any with `@type`) to the message object, Any
 * members encoded to bytes. Every problem found is pushed: unknown field, wrong type, unknown `@type`.
 */
export declare function fromJson(type: string, json: unknown, problems: JsonProblem[]): MessageObject;
/** The message object as proto3 JSON with proto field names; Any members expanded with `@type`. For `/config_dump`. */
export declare function toJson(type: string, message: MessageObject): unknown;
export declare function messageFields(type: string): readonly FieldDescriptor[];
export declare function hasMessage(type: string): boolean;
/** A gRPC service definition for grpc-js whose payloads are raw buffers. Full name, `envoy.service.discovery.v3.AggregatedDiscoveryService`. */
export declare function serviceDefinition(service: string): import('@grpc/grpc-js').ServiceDefinition;
