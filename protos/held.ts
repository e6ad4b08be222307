/**
 * Messages in the place of their bytes: what was read from JSON and is decoded at once need not be encoded between. The
 * bytes are an empty stand-in that the codec knows; it gives the message to whoever decodes it, and makes the bytes where
 * a message that holds the stand-in is encoded.
 */
import type { MessageObject } from './loader.ts';

export interface Held {
  readonly type: string;
  readonly message: MessageObject;
}

const messages = new WeakMap<object, Held>();

/** A stand-in for the message's bytes. Nobody may change the message from now on. */
export function holdMessage(type: string, message: MessageObject): Buffer {
  const standIn = Buffer.from(new ArrayBuffer(0));
  messages.set(standIn, { type, message });
  return standIn;
}

/** What these bytes stand for; `undefined` of all others. */
export function heldMessage(bytes: Uint8Array): Held | undefined {
  return bytes.byteLength === 0 ? messages.get(bytes) : undefined;
}

/** The same value with real bytes in the place of stand-ins; the value itself where there are none. */
export function withBytes(value: unknown, encode: (held: Held) => Buffer): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) {
    const held = heldMessage(value);
    return held === undefined ? value : encode(held);
  }
  if (Array.isArray(value)) {
    const list = value.map((item) => withBytes(item, encode));
    return list.every((item, index) => item === value[index]) ? value : list;
  }
  let made: { [key: string]: unknown } | undefined;
  for (const [key, member] of Object.entries(value)) {
    const whole = withBytes(member, encode);
    if (whole === member) continue;
    made ??= { ...value };
    made[key] = whole;
  }
  return made ?? value;
}
