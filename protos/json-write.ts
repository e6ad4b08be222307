/** A message object as proto3 JSON with proto field names: what `/config_dump` shows. */
import { decodeBytes } from './codec.ts';
import { enumOf, type Field, findMessage, lowerCamel, messageOf } from './descriptors.ts';
import type { MessageObject } from './loader.ts';
import { isDefault } from './scalar-json.ts';
import { formatDuration, formatTimestamp, hasOwnJson, maxDepth, typeOfUrl, wrappers } from './well-known.ts';

const long: ReadonlySet<string> = new Set(['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64']);

function isMessage(value: unknown): value is MessageObject {
  return typeof value === 'object' && value !== null;
}

function numberOr0(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function scalar(type: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  // 64 bits are a string in proto3 JSON; BigInt prints large ones without an exponent.
  if (long.has(type)) return typeof value === 'number' ? String(BigInt(Math.trunc(value))) : String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}

function single(field: Field, value: unknown, depth: number): unknown {
  if (field.kind === 'message') return isMessage(value) ? write(field.type, value, depth + 1) : null;
  if (field.kind === 'enum') {
    if (field.type === 'google.protobuf.NullValue') return null;
    return typeof value === 'number' ? (enumOf(field.type).names.get(value) ?? value) : value;
  }
  return scalar(field.type, value);
}

function isUnset(field: Field, value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (field.presence) return false;
  if (field.kind === 'enum' && typeof value === 'string') return enumOf(field.type).numbers.get(value) === 0;
  return isDefault(value);
}

function member(field: Field, value: unknown, depth: number): unknown {
  if (field.repeated) {
    return Array.isArray(value) && value.length > 0 ? value.map((element) => single(field, element, depth)) : undefined;
  }
  if (field.mapKey !== undefined) {
    const entries = isMessage(value) ? Object.entries(value) : [];
    if (entries.length === 0) return undefined;
    return Object.fromEntries(entries.map(([key, element]) => [key, single(field, element, depth)]));
  }
  return isUnset(field, value) ? undefined : single(field, value, depth);
}

function fields(type: string, message: MessageObject, depth: number): { [name: string]: unknown } {
  const made: { [name: string]: unknown } = {};
  for (const field of messageOf(type).fields) {
    const value = member(field, message[field.name], depth);
    if (value !== undefined) made[field.name] = value;
  }
  return made;
}

function any(message: MessageObject, depth: number): unknown {
  const url = message.type_url;
  if (typeof url !== 'string' || url === '') return {};
  const type = typeOfUrl(url);
  const value = message.value;
  const bytes = value instanceof Uint8Array ? value : new Uint8Array();
  try {
    if (findMessage(type) !== undefined && depth < maxDepth) {
      const held = decodeBytes(type, bytes);
      if (hasOwnJson(type)) return { '@type': url, value: write(type, held, depth + 1) };
      return { '@type': url, ...fields(type, held, depth + 1) };
    }
  } catch {
    // Bytes that are not what they say they are: shown as bytes.
  }
  return { '@type': url, value: Buffer.from(bytes).toString('base64') };
}

function dynamic(message: MessageObject, depth: number): unknown {
  for (const [kind, value] of Object.entries(message)) {
    if (kind === 'struct_value' && isMessage(value)) return write('google.protobuf.Struct', value, depth + 1);
    if (kind === 'list_value' && isMessage(value)) return write('google.protobuf.ListValue', value, depth + 1);
    if (kind === 'number_value') return scalar('double', value);
    if (kind === 'string_value' || kind === 'bool_value') return value;
  }
  return null;
}

function write(type: string, message: MessageObject, depth: number): unknown {
  if (wrappers.has(type)) {
    const field = messageOf(type).fields[0];
    if (field === undefined) return null;
    return message.value === undefined ? zero(field.type) : scalar(field.type, message.value);
  }
  switch (type) {
    case 'google.protobuf.Any':
      return any(message, depth);
    case 'google.protobuf.Duration':
      return formatDuration(numberOr0(message.seconds), numberOr0(message.nanos));
    case 'google.protobuf.Timestamp':
      return formatTimestamp(numberOr0(message.seconds), numberOr0(message.nanos));
    case 'google.protobuf.FieldMask':
      return Array.isArray(message.paths) ? message.paths.map((path) => lowerCamel(String(path))).join(',') : '';
    case 'google.protobuf.Struct': {
      const entries = Object.entries(isMessage(message.fields) ? message.fields : {});
      return Object.fromEntries(entries.map(([key, value]) => [key, dynamic(isMessage(value) ? value : {}, depth)]));
    }
    case 'google.protobuf.ListValue':
      return Array.isArray(message.values)
        ? message.values.map((value) => dynamic(isMessage(value) ? value : {}, depth))
        : [];
    case 'google.protobuf.Value':
      return dynamic(message, depth);
    default:
      return fields(type, message, depth);
  }
}

function zero(scalarType: string): unknown {
  if (scalarType === 'bool') return false;
  if (scalarType === 'string' || scalarType === 'bytes') return '';
  return long.has(scalarType) ? '0' : 0;
}

/** See `toJson` in loader.ts. */
export function writeJson(type: string, message: MessageObject): unknown {
  return write(type, message, 0);
}
