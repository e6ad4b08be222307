/** Protobuf's MergeFrom over message objects. */
import { type Field, messageOf } from './descriptors.ts';
import type { MessageObject } from './loader.ts';

function isMessage(value: unknown): value is MessageObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);
}

function member(field: Field, base: unknown, over: unknown): unknown {
  if (field.repeated) return Array.isArray(base) && Array.isArray(over) ? [...base, ...over] : over;
  if (!isMessage(base) || !isMessage(over)) return over;
  if (field.mapKey !== undefined) return { ...base, ...over };
  // Half of one extension and half of another is neither.
  if (field.kind !== 'message' || field.type === 'google.protobuf.Any') return over;
  return merged(field.type, base, over);
}

/** See `mergeMessage` in loader.ts. */
export function merged(type: string, base: MessageObject, over: MessageObject): MessageObject {
  const made: MessageObject = { ...base };
  for (const field of messageOf(type).fields) {
    const value = over[field.name];
    if (value === undefined) continue;
    if (field.oneof !== undefined) {
      for (const rival of messageOf(type).fields) {
        if (rival.oneof === field.oneof && rival.name !== field.name) delete made[rival.name];
      }
    }
    made[field.name] = made[field.name] === undefined ? value : member(field, made[field.name], value);
  }
  return made;
}
