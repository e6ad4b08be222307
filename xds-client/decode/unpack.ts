/** `Any` to message: the type is checked, the bytes decoded, the message inspected. Nothing here throws. */
import {
  type Any,
  decodeMessage,
  fromJson,
  hasMessage,
  type JsonProblem,
  type MessageObject,
} from '../../protos/index.ts';
import type { DecodeContext } from './context.ts';
import { message as member, text } from './fields.ts';
import { inspect } from './inspect.ts';
import { structToJson } from './struct.ts';
import { noteUnknownFields } from './unknown-fields.ts';

const TYPED_STRUCTS = new Set(['udpa.type.v1.TypedStruct', 'xds.type.v3.TypedStruct']);

/** The message's full name: what follows the last slash of the type URL. */
export function messageName(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}

function decodeBytes(type: string, bytes: Buffer, ctx: DecodeContext): MessageObject | undefined {
  try {
    const decoded = decodeMessage(type, bytes);
    // It reads the bytes more strictly: the decoder takes a text that is cut off for a shorter one.
    noteUnknownFields(type, bytes, ctx);
    return decoded;
  } catch (cause) {
    ctx.error(`is not a valid ${type}: ${cause instanceof Error ? cause.message : String(cause)}`);
    return undefined;
  }
}

/** The configuration's type; that of the payload where it is wrapped in a TypedStruct. `undefined` after an error. */
export function typeNameOf(config: Any, ctx: DecodeContext): string | undefined {
  const type = messageName(config.type_url);
  if (type === '') {
    ctx.error('an Any without a type_url');
    return undefined;
  }
  if (!TYPED_STRUCTS.has(type)) return type;
  const wrapper = decodeBytes(type, config.value, ctx);
  return wrapper === undefined ? undefined : messageName(text(wrapper, 'type_url'));
}

/** Decodes without inspecting: for payloads that are left aside. `undefined` after an error. */
export function configOf(config: Any, type: string, ctx: DecodeContext): MessageObject | undefined {
  const outer = messageName(config.type_url);
  if (!TYPED_STRUCTS.has(outer)) {
    return decodeBytes(type, config.value, ctx);
  }
  const wrapper = decodeBytes(outer, config.value, ctx);
  if (wrapper === undefined) return undefined;
  const problems: JsonProblem[] = [];
  const converted = fromJson(type, structToJson(member(wrapper, 'value')), problems);
  for (const problem of problems) ctx.error(problem.message, problem.path === '' ? undefined : problem.path);
  return problems.length === 0 ? converted : undefined;
}

/** Decodes and inspects a configuration whose type has been looked up. `undefined` after an error. */
export function unpackConfig(config: Any, type: string, ctx: DecodeContext): MessageObject | undefined {
  if (!hasMessage(type)) {
    ctx.error(`the message ${type} is not known`);
    return undefined;
  }
  const decoded = configOf(config, type, ctx);
  if (decoded !== undefined) inspect(type, decoded, ctx);
  return decoded;
}

/** Decodes and inspects an `Any` that has to be of one type. `undefined` after an error. */
export function unpack(any: Any, type: string, ctx: DecodeContext): MessageObject | undefined {
  const actual = messageName(any.type_url);
  if (actual !== type) {
    ctx.error(`is a ${actual === '' ? 'message without a type_url' : actual}, expected ${type}`);
    return undefined;
  }
  return unpackConfig(any, type, ctx);
}
