/**
 * Wire fields that the descriptors do not have. Decoding drops them without a word, and a control plane that is newer than
 * the descriptors may have meant something by them.
 */
import { type Field, fieldNumbers, findMessage, type Message } from './descriptors.ts';
import type { UnknownField } from './loader.ts';
import { maxDepth, typeOfUrl } from './well-known.ts';

/** More than an operator reads; hostile bytes can hold millions. */
const maxFound = 100;

class Truncated extends Error {}

class Wire {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Exact to 2^53; a tag and a length are 32 bits. */
  varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10; count += 1) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw new Truncated();
      this.at += 1;
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) return value;
    }
    throw new Truncated();
  }

  slice(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) throw new Truncated();
    const part = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return part;
  }

  /** Past a value; the bytes of a delimited one. */
  value(wireType: number, depth: number): Uint8Array | undefined {
    if (wireType === 0) this.varint();
    else if (wireType === 1) this.slice(8);
    else if (wireType === 2) return this.slice(this.varint());
    else if (wireType === 5) this.slice(4);
    else if (wireType === 3 && depth < maxDepth) this.group(depth + 1);
    else throw new Truncated();
    return undefined;
  }

  private group(depth: number): void {
    for (let tag = this.varint(); tag % 8 !== 4; tag = this.varint()) this.value(tag % 8, depth);
  }
}

interface Search {
  readonly found: UnknownField[];
}

function message(type: Message, bytes: Uint8Array, path: string, depth: number, search: Search): void {
  const numbers = fieldNumbers(type.name);
  const wire = new Wire(bytes);
  const seen = new Map<string, number>();
  const any = type.name === 'google.protobuf.Any';
  let held: Message | undefined;
  while (wire.at < bytes.length && search.found.length < maxFound) {
    const tag = wire.varint();
    const number = Math.floor(tag / 8);
    const value = wire.value(tag % 8, depth);
    const field = numbers.get(number);
    if (field === undefined) search.found.push({ message: type.name, number, path });
    else if (any && value !== undefined) {
      // The URL comes first, as every encoder writes it.
      if (field.name === 'type_url') held = findMessage(typeOfUrl(Buffer.from(value).toString('utf8')));
      else if (held !== undefined && depth < maxDepth) message(held, value, path, depth + 1, search);
    } else if (value !== undefined && field.kind === 'message' && depth < maxDepth) {
      below(field, value, path === '' ? field.name : `${path}.${field.name}`, seen, depth + 1, search);
    }
  }
}

function below(
  field: Field,
  value: Uint8Array,
  path: string,
  seen: Map<string, number>,
  depth: number,
  search: Search,
): void {
  const type = findMessage(field.type);
  if (type === undefined) return;
  if (field.mapKey === undefined) {
    const index = seen.get(field.name) ?? 0;
    seen.set(field.name, index + 1);
    message(type, value, field.repeated ? `${path}[${index}]` : path, depth, search);
    return;
  }
  const entry = new Wire(value);
  let key = '';
  while (entry.at < value.length) {
    const tag = entry.varint();
    const part = entry.value(tag % 8, depth);
    if (part === undefined) continue;
    if (tag >> 3 === 1) key = Buffer.from(part).toString('utf8');
    else message(type, part, `${path}[${JSON.stringify(key)}]`, depth, search);
  }
}

/** See `unknownFields` in loader.ts. */
export function findUnknown(name: string, bytes: Uint8Array): readonly UnknownField[] {
  const type = findMessage(name);
  if (type === undefined) throw new Error(`no message type is called "${name}"`);
  const search: Search = { found: [] };
  try {
    message(type, bytes, '', 0, search);
  } catch (error) {
    // Bytes that are no message are decodeMessage's to refuse.
    if (!(error instanceof Truncated)) throw error;
  }
  return search.found;
}
