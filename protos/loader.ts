import type { ServiceDefinition } from '@grpc/grpc-js';
import { decodeBytes, encodeObject } from './codec.ts';
import { findMessage, messageOf } from './descriptors.ts';
import type { MessageTypes } from './generated/index.d.ts';
import { readJson } from './json-read.ts';
import { writeJson } from './json-write.ts';
import { merged } from './merge.ts';
import { rawService } from './service.ts';
import { findUnknown } from './unknown.ts';

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
  /** The field's number on the wire. */
  readonly id: number;
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
  /** `unknown-field`: a name the message does not have, which `--allow-unknown-static-fields` lets pass. */
  readonly kind: 'unknown-field' | 'value';
  readonly message: string;
  /** Of an Any whose message is in no proto here. */
  readonly unknownType?: string;
}

/** A field on the wire that the descriptors do not have. `path` is that of the message it stands in. */
export interface UnknownField {
  readonly message: string;
  readonly number: number;
  readonly path: string;
}

/** The full name of a message whose type was generated, `envoy.config.cluster.v3.Cluster`. */
export type MessageName = keyof MessageTypes;

/**
 * Decodes wire bytes. Throws `Error` with the type's name when they are not that message. A name written in the code
 * gives the generated type.
 */
export function decodeMessage<Name extends MessageName>(type: Name, bytes: Uint8Array): MessageTypes[Name];
export function decodeMessage(type: string, bytes: Uint8Array): MessageObject;
export function decodeMessage(type: string, bytes: Uint8Array): MessageObject {
  return decodeBytes(type, bytes);
}

/**
 * The fields that decoding these bytes drops, at most 100, those inside known Any types included. Of bytes that do not
 * decode: what was found up to there.
 */
export function unknownFields(type: string, bytes: Uint8Array): readonly UnknownField[] {
  return findUnknown(type, bytes);
}

/** Encodes a message object. Throws `Error` with the type's name when a member has the wrong shape. */
export function encodeMessage<Name extends MessageName>(type: Name, message: MessageTypes[Name]): Buffer;
export function encodeMessage(type: string, message: MessageObject): Buffer;
export function encodeMessage(type: string, message: MessageObject): Buffer {
  return encodeObject(type, message);
}

/**
 * proto3 JSON (snake_case or camelCase, durations as `5s`, wrappers bare, Any with `@type`) to the message object, Any
 * members encoded to bytes. Every problem found is pushed: unknown field, wrong type, unknown `@type`. Paths are in
 * proto names: `filters[0].typed_config.stat_prefix`, a map's member `metadata["a.b"]`.
 *
 * `anys`: `held` leaves out the encoding of Any members; their bytes are empty to everybody but this room, which decodes
 * and encodes them as if they were not (held.ts). For what stays in the process, the bootstrap.
 */
export function fromJson<Name extends MessageName>(
  type: Name,
  json: unknown,
  problems: JsonProblem[],
  anys?: 'bytes' | 'held',
): MessageTypes[Name];
export function fromJson(type: string, json: unknown, problems: JsonProblem[], anys?: 'bytes' | 'held'): MessageObject;
export function fromJson(
  type: string,
  json: unknown,
  problems: JsonProblem[],
  anys: 'bytes' | 'held' = 'bytes',
): MessageObject {
  return readJson(type, json, problems, anys === 'held');
}

/** The message object as proto3 JSON with proto field names; Any members expanded with `@type`. For `/config_dump`. */
export function toJson(type: string, message: MessageObject): unknown {
  return writeJson(type, message);
}

/** The fields of a message. Throws where there is no such message. */
export function messageFields(type: string): readonly FieldDescriptor[] {
  return messageOf(type).fields;
}

export function hasMessage(type: string): boolean {
  return findMessage(type) !== undefined;
}

/**
 * Protobuf's MergeFrom: set scalars of `over` win, messages merge, lists are appended to, map entries are replaced, a
 * oneof is what `over` says. An Any is replaced whole. Neither argument is changed.
 */
export function mergeMessage<Name extends MessageName>(
  type: Name,
  base: MessageTypes[Name],
  over: MessageTypes[Name],
): MessageTypes[Name];
export function mergeMessage(type: string, base: MessageObject, over: MessageObject): MessageObject;
export function mergeMessage(type: string, base: MessageObject, over: MessageObject): MessageObject {
  return merged(type, base, over);
}

/** A gRPC service definition for grpc-js whose payloads are raw buffers. Full name, `envoy.service.discovery.v3.AggregatedDiscoveryService`. */
export function serviceDefinition(service: string): ServiceDefinition {
  return rawService(service);
}
