/**
 * Wire bytes to message objects and back, by @grpc/proto-loader.
 *
 * A type is loaded when it is first used, with its closure alone: 381 of 1400 types for a bootstrap with an HTTP connection
 * manager. The closure goes inside the wanted message, one level down: proto-loader makes descriptors for top-level
 * messages only, and they cost more than everything else together.
 */
import { createRequire } from 'node:module';
import type { fromJSON, MessageTypeDefinition, Options } from '@grpc/proto-loader';
import type { FieldJson } from './descriptor-file.ts';
import { enumJson, messageJson } from './descriptors.ts';
import { heldMessage, withBytes } from './held.ts';
import type { MessageObject } from './loader.ts';

/** The names of the wanted message and of the namespace inside it. Capitals: no field is called so. */
const wanted = 'M';
const closure = 'C';
const prefix = `.${wanted}.${closure}`;

const options: Options = { keepCase: true, enums: String, longs: Number };

interface Loader {
  readonly fromJSON: typeof fromJSON;
}

/** A namespace, message or enum in protobufjs's JSON. */
interface Node {
  nested?: { [name: string]: Node };
  fields?: { [name: string]: FieldJson };
  oneofs?: { readonly [name: string]: { readonly oneof: readonly string[] } };
  values?: { readonly [name: string]: number };
}

type Codec = Pick<MessageTypeDefinition<object, object>, 'serialize' | 'deserialize'>;

const codecs = new Map<string, Codec>();
const require = createRequire(import.meta.url);

function nodeOf(name: string): Node {
  const message = messageJson(name);
  if (message === undefined) {
    const values = enumJson(name);
    if (values === undefined) throw new Error(`no message type is called "${name}"`);
    return { values: values.values };
  }
  const fields: { [name: string]: FieldJson } = {};
  for (const [field, json] of Object.entries(message.fields)) {
    fields[field] = json.type.startsWith('.') ? { ...json, type: prefix + json.type } : json;
  }
  return message.oneofs === undefined ? { fields } : { fields, oneofs: message.oneofs };
}

function slice(type: string): Node {
  const types: Node = {};
  const seen = new Set<string>();
  const pending = [type];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    let at = types;
    for (const part of name.split('.')) {
      at.nested ??= {};
      at.nested[part] ??= {};
      at = at.nested[part];
    }
    Object.assign(at, nodeOf(name));
    for (const field of Object.values(messageJson(name)?.fields ?? {})) {
      if (field.type.startsWith('.')) pending.push(field.type.slice(1));
    }
  }
  if (messageJson(type) === undefined) throw new Error(`no message type is called "${type}"`);
  return { nested: { [wanted]: { ...nodeOf(type), nested: { [closure]: types } } } };
}

function load(type: string): Codec {
  // Required here: a process that only prints its version does not pay the 30 ms.
  const loader = require('@grpc/proto-loader') as Loader;
  // What was put in is a message, so a message definition comes out.
  return loader.fromJSON(slice(type), options)[wanted] as Codec;
}

function codecOf(type: string): Codec {
  let codec = codecs.get(type);
  if (codec === undefined) {
    codec = load(type);
    codecs.set(type, codec);
  }
  return codec;
}

function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(`${prefix}.`, '').replaceAll(`.${wanted}`, '');
}

/** Decodes wire bytes. Throws `Error` with the type's name when they are not that message. */
export function decodeBytes(type: string, given: Uint8Array): MessageObject {
  const held = heldMessage(given);
  if (held?.type === type) return held.message;
  const bytes = held === undefined ? given : encodeObject(held.type, held.message);
  // Nothing set. The loader would be needed for nothing.
  if (bytes.byteLength === 0 && messageJson(type) !== undefined) return {};
  const codec = codecOf(type);
  try {
    return codec.deserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as MessageObject;
  } catch (error) {
    throw new Error(`${type}: ${bytes.byteLength} bytes do not decode: ${reason(error)}`, { cause: error });
  }
}

/** Encodes a message object. Throws `Error` with the type's name when a member has the wrong shape. */
export function encodeObject(type: string, message: object): Buffer {
  const codec = codecOf(type);
  try {
    return codec.serialize(withBytes(message, (held) => encodeObject(held.type, held.message)) as object);
  } catch (error) {
    throw new Error(`${type}: does not encode: ${reason(error)}`, { cause: error });
  }
}
