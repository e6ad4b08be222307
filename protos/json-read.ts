/** proto3 JSON to a message object (protobuf.dev, "ProtoJSON Format"). Every problem is collected; nothing is thrown for bad input. */
import { encodeObject } from './codec.ts';
import { enumOf, type Field, findMessage, type Message, messageOf } from './descriptors.ts';
import { holdMessage } from './held.ts';
import type { JsonProblem, MessageObject } from './loader.ts';
import { isDefault, readScalar } from './scalar-json.ts';
import { hasOwnJson, maxDepth, parseDuration, parseTimestamp, typeOfUrl, wrappers } from './well-known.ts';

type JsonObject = { readonly [key: string]: unknown };

function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** A value as a message can carry it: short, and a whole collection by its kind. */
function shown(json: unknown): string {
  if (Array.isArray(json)) return 'a list';
  if (isObject(json)) return 'an object';
  const text = typeof json === 'bigint' ? String(json) : (JSON.stringify(json) ?? String(json));
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function put(object: MessageObject, key: string, value: unknown): void {
  // `__proto__` is a key like any other in a map.
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

/** The member of a message's object, of a list, of a map. */
function below(path: string, field: string): string {
  return path === '' ? field : `${path}.${field}`;
}
function keyed(path: string, key: string): string {
  return `${path}[${JSON.stringify(key)}]`;
}

class Reader {
  private readonly problems: JsonProblem[];
  private readonly holds: boolean;
  private depth = 0;

  constructor(problems: JsonProblem[], holds: boolean) {
    this.problems = problems;
    this.holds = holds;
  }

  private problem(path: string, message: string, kind: JsonProblem['kind'] = 'value'): undefined {
    this.problems.push({ path, message, kind });
    return undefined;
  }

  /** undefined where there was a problem; the problem is noted. */
  message(type: string, json: unknown, path: string): MessageObject | undefined {
    if (this.depth >= maxDepth) return this.problem(path, `is nested deeper than ${maxDepth} messages`);
    this.depth += 1;
    const made = hasOwnJson(type) ? this.wellKnown(type, json, path) : this.fields(messageOf(type), json, path);
    this.depth -= 1;
    return made;
  }

  private fields(message: Message, json: unknown, path: string, skip?: string): MessageObject | undefined {
    if (!isObject(json)) return this.problem(path, `must be an object (${message.name}), not ${shown(json)}`);
    const made: MessageObject = {};
    const given = new Map<string, string>();
    const chosen = new Map<string, string>();
    for (const [key, value] of Object.entries(json)) {
      if (key === skip) continue;
      const field = message.byName.get(key);
      if (field === undefined) {
        this.problem(below(path, key), `is not a field of ${message.name}`, 'unknown-field');
        continue;
      }
      // null is "not set", except where null is a value.
      if (value === undefined || (value === null && !holdsNull(field))) continue;
      const at = below(path, field.name);
      if (given.has(field.name)) {
        this.problem(at, `is set twice, as "${given.get(field.name)}" and as "${key}"`);
        continue;
      }
      given.set(field.name, key);
      const rival = field.oneof === undefined ? undefined : chosen.get(field.oneof);
      if (rival !== undefined) {
        this.problem(at, `cannot be set beside "${rival}": only one of "${field.oneof}" may be`);
        continue;
      }
      if (field.oneof !== undefined) chosen.set(field.oneof, field.name);
      const read = this.field(field, value, at);
      if (read !== undefined) put(made, field.name, read);
    }
    return made;
  }

  private field(field: Field, json: unknown, path: string): unknown {
    if (field.mapKey !== undefined) return this.map(field, field.mapKey, json, path);
    if (!field.repeated) {
      const value = this.value(field, json, path);
      return field.presence || !(isDefault(value) || isZero(field, value)) ? value : undefined;
    }
    if (!Array.isArray(json)) return this.problem(path, `must be a list, not ${shown(json)}`);
    const list: unknown[] = [];
    for (let index = 0; index < json.length; index += 1) {
      const element: unknown = json[index];
      if (element === null && !holdsNull(field)) this.problem(`${path}[${index}]`, 'must not be null in a list');
      else {
        const value = this.value(field, element, `${path}[${index}]`);
        if (value !== undefined) list.push(value);
      }
    }
    return list.length > 0 ? list : undefined;
  }

  private map(field: Field, keyType: string, json: unknown, path: string): MessageObject | undefined {
    if (!isObject(json)) return this.problem(path, `must be an object, not ${shown(json)}`);
    const made: MessageObject = {};
    for (const [key, element] of Object.entries(json)) {
      const at = keyed(path, key);
      const scalar = readScalar(keyType, keyType === 'bool' && /^(true|false)$/.test(key) ? key === 'true' : key);
      if (!scalar.ok) this.problem(at, `has the key ${shown(key)}, which must be ${scalar.expected}`);
      else if (element === null && !holdsNull(field)) this.problem(at, 'must not be null in a map');
      else {
        const value = this.value(field, element, at);
        if (value !== undefined) put(made, String(scalar.value), value);
      }
    }
    return Object.keys(made).length > 0 ? made : undefined;
  }

  private value(field: Field, json: unknown, path: string): unknown {
    if (field.kind === 'message') return this.message(field.type, json, path);
    if (field.kind === 'enum') return this.enumeration(field.type, json, path);
    const scalar = readScalar(field.type, json);
    return scalar.ok ? scalar.value : this.problem(path, `must be ${scalar.expected}, not ${shown(json)}`);
  }

  private enumeration(type: string, json: unknown, path: string): string | number | undefined {
    const { numbers, names } = enumOf(type);
    if (type === 'google.protobuf.NullValue' && json === null) return 'NULL_VALUE';
    if (typeof json === 'string' && numbers.has(json)) return names.get(numbers.get(json) ?? 0) ?? json;
    const scalar = typeof json === 'number' ? readScalar('int32', json) : undefined;
    // A number that no name has stays a number: the enum may have grown since.
    if (scalar?.ok && typeof scalar.value === 'number') return names.get(scalar.value) ?? scalar.value;
    const all = [...numbers.keys()];
    const list = all.length > 12 ? `${all.slice(0, 12).join(', ')}, ...` : all.join(', ');
    return this.problem(path, `must be one of ${list}, not ${shown(json)}`);
  }

  private wellKnown(type: string, json: unknown, path: string): MessageObject | undefined {
    if (wrappers.has(type)) {
      const field = messageOf(type).fields[0];
      const value = field === undefined ? undefined : this.value(field, json, path);
      if (value === undefined) return undefined;
      return isDefault(value) ? {} : { value };
    }
    switch (type) {
      case 'google.protobuf.Any':
        return this.any(json, path);
      case 'google.protobuf.Duration':
      case 'google.protobuf.Timestamp':
        return this.time(type, json, path);
      case 'google.protobuf.FieldMask':
        return this.fieldMask(json, path);
      case 'google.protobuf.Struct':
        return this.struct(json, path);
      case 'google.protobuf.ListValue':
        return this.listValue(json, path);
      default:
        return this.anyValue(json, path);
    }
  }

  private time(type: string, json: unknown, path: string): MessageObject | undefined {
    const duration = type === 'google.protobuf.Duration';
    const read = typeof json === 'string' ? (duration ? parseDuration(json) : parseTimestamp(json)) : undefined;
    if (read === undefined) {
      const expected = duration ? 'a duration such as "1.5s"' : 'a time such as "2026-01-31T12:00:00Z"';
      return this.problem(path, `must be ${expected}, not ${shown(json)}`);
    }
    const made: MessageObject = {};
    if (read.seconds !== 0) made.seconds = read.seconds;
    if (read.nanos !== 0) made.nanos = read.nanos;
    return made;
  }

  private fieldMask(json: unknown, path: string): MessageObject | undefined {
    if (typeof json !== 'string') return this.problem(path, `must be a string of field paths, not ${shown(json)}`);
    if (json === '') return {};
    return {
      paths: json.split(',').map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
    };
  }

  private struct(json: unknown, path: string): MessageObject | undefined {
    if (!isObject(json)) return this.problem(path, `must be an object, not ${shown(json)}`);
    const fields: MessageObject = {};
    for (const [key, element] of Object.entries(json)) {
      const value = this.message('google.protobuf.Value', element, keyed(path, key));
      if (value !== undefined) put(fields, key, value);
    }
    return Object.keys(fields).length > 0 ? { fields } : {};
  }

  private listValue(json: unknown, path: string): MessageObject | undefined {
    if (!Array.isArray(json)) return this.problem(path, `must be a list, not ${shown(json)}`);
    const values: MessageObject[] = [];
    for (let index = 0; index < json.length; index += 1) {
      const value = this.message('google.protobuf.Value', json[index], `${path}[${index}]`);
      if (value !== undefined) values.push(value);
    }
    return values.length > 0 ? { values } : {};
  }

  private anyValue(json: unknown, path: string): MessageObject | undefined {
    if (json === null) return { null_value: 'NULL_VALUE' };
    if (typeof json === 'number' || typeof json === 'bigint') return { number_value: Number(json) };
    if (typeof json === 'string') return { string_value: json };
    if (typeof json === 'boolean') return { bool_value: json };
    if (Array.isArray(json)) {
      const list = this.listValue(json, path);
      return list === undefined ? undefined : { list_value: list };
    }
    const struct = this.struct(json, path);
    return struct === undefined ? undefined : { struct_value: struct };
  }

  private any(json: unknown, path: string): MessageObject | undefined {
    if (!isObject(json)) return this.problem(path, `must be an object with "@type", not ${shown(json)}`);
    const url = json['@type'];
    if (url === undefined) {
      return Object.keys(json).length === 0 ? {} : this.problem(path, 'has no "@type", which says what it holds');
    }
    const at = below(path, '@type');
    if (typeof url !== 'string') return this.problem(at, `must be a string, not ${shown(url)}`);
    const type = typeOfUrl(url);
    const message = url.includes('/') ? findMessage(type) : undefined;
    if (message === undefined) {
      this.problems.push({
        path: at,
        message: `is no type that is known here: ${shown(url)}`,
        kind: 'value',
        unknownType: type,
      });
      return undefined;
    }
    const before = this.serious();
    const held = hasOwnJson(type) ? this.anyWellKnown(type, json, path) : this.anyFields(message, json, path);
    // Bytes made of half a message would be read as a whole one.
    if (held === undefined || this.serious() > before) return undefined;
    try {
      if (this.holds)
        return Object.keys(held).length === 0 ? { type_url: url } : { type_url: url, value: holdMessage(type, held) };
      const value = encodeObject(type, held);
      return value.length > 0 ? { type_url: url, value } : { type_url: url };
    } catch (error) {
      return this.problem(path, error instanceof Error ? error.message : String(error));
    }
  }

  /** An unknown field is left out, and what is left is whole. */
  private serious(): number {
    return this.problems.filter((problem) => problem.kind === 'value').length;
  }

  private anyFields(message: Message, json: JsonObject, path: string): MessageObject | undefined {
    if (this.depth >= maxDepth) return this.problem(path, `is nested deeper than ${maxDepth} messages`);
    this.depth += 1;
    const held = this.fields(message, json, path, '@type');
    this.depth -= 1;
    return held;
  }

  private anyWellKnown(type: string, json: JsonObject, path: string): MessageObject | undefined {
    for (const key of Object.keys(json)) {
      if (key !== '@type' && key !== 'value') {
        this.problem(below(path, key), `is not a field of ${type}, whose JSON stands under "value"`, 'unknown-field');
      }
    }
    if (json.value === undefined) return {};
    return this.message(type, json.value, below(path, 'value'));
  }
}

function holdsNull(field: Field): boolean {
  return field.type === 'google.protobuf.Value' || field.type === 'google.protobuf.NullValue';
}

/** Whether an enum's value is its first, which proto3 does not send. */
function isZero(field: Field, value: unknown): boolean {
  return field.kind === 'enum' && typeof value === 'string' && enumOf(field.type).numbers.get(value) === 0;
}

/** See `fromJson` in loader.ts. */
export function readJson(type: string, json: unknown, problems: JsonProblem[], holds: boolean): MessageObject {
  return new Reader(problems, holds).message(type, json, '') ?? {};
}
