/**
 * Field numbers that the shipped protos do not have: a control plane newer than they are sends such, and decoding drops
 * them. Envoy accepts them with a warning, and so does Tollway, by a second walk over the bytes.
 */
import { createRequire } from 'node:module';
import type { Reader } from 'protobufjs';
import { type FieldDescriptor, hasMessage, messageFields } from '../../protos/index.ts';
import type { DecodeContext } from './context.ts';

const require = createRequire(import.meta.url);
let readers: typeof Reader | undefined;

/** Loaded for the first bytes: a bootstrap in YAML or JSON has none. */
function readerOf(bytes: Uint8Array): Reader {
  readers ??= (require('protobufjs') as { readonly Reader: typeof Reader }).Reader;
  return readers.create(bytes);
}

const LENGTH_DELIMITED = 2;
/** Of a map's entry. */
const MAP_VALUE = 2;

const layouts = new Map<string, ReadonlyMap<number, FieldDescriptor>>();

function layoutOf(type: string): ReadonlyMap<number, FieldDescriptor> {
  const known = layouts.get(type);
  if (known !== undefined) return known;
  const made = new Map(messageFields(type).map((field) => [field.id, field]));
  layouts.set(type, made);
  return made;
}

/** Well-known types do not change, and an `Any`'s payload is walked when it is unpacked. */
function isWalked(type: string): boolean {
  return !type.startsWith('google.protobuf.') && hasMessage(type);
}

function walkField(field: FieldDescriptor, bytes: Uint8Array, ctx: DecodeContext): void {
  if (!isWalked(field.type)) return;
  if (field.mapKey === undefined) walk(field.type, bytes, ctx);
  else {
    const entry = readerOf(bytes);
    while (entry.pos < entry.len) {
      const tag = entry.uint32();
      if (tag >>> 3 === MAP_VALUE && (tag & 7) === LENGTH_DELIMITED) walk(field.type, entry.bytes(), ctx);
      else entry.skipType(tag & 7);
    }
  }
}

function walk(type: string, bytes: Uint8Array, ctx: DecodeContext): void {
  const layout = layoutOf(type);
  const reader = readerOf(bytes);
  const seen = new Map<number, number>();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const id = tag >>> 3;
    const field = layout.get(id);
    if (field === undefined) {
      if (!seen.has(id))
        ctx.ignore(`${type}.${id}`, 'this field number is newer than the protos shipped here', `#${id}`);
      seen.set(id, 0);
      reader.skipType(tag & 7);
    } else if ((tag & 7) === LENGTH_DELIMITED && isWalked(field.type)) {
      const index = seen.get(id) ?? 0;
      seen.set(id, index + 1);
      const inner = reader.bytes();
      const segment = field.repeated ? `${field.name}[${index}]` : field.name;
      ctx.at(segment, () => walkField(field, inner, ctx));
    } else {
      reader.skipType(tag & 7);
    }
  }
}

/** Notes them as unsupported. The bytes have been decoded as that type before, so that they can be read. */
export function noteUnknownFields(type: string, bytes: Uint8Array, ctx: DecodeContext): void {
  if (bytes.length > 0) walk(type, bytes, ctx);
}
