/**
 * Reading a message object's members. What was not set reads as the proto's default (or `undefined` where absence means
 * something of its own); a member of an unexpected type reads as if it were not set, so that hostile bytes cannot throw.
 */
import type { Any, MessageObject } from '../../protos/index.ts';

function member(message: MessageObject | undefined, field: string): unknown {
  return message !== undefined && Object.hasOwn(message, field) ? message[field] : undefined;
}

/** Whether the member is there: for oneofs and wrappers, where an empty message means something. */
export function has(message: MessageObject | undefined, field: string): boolean {
  const value = member(message, field);
  return value !== undefined && value !== null;
}

/** A message's own text, `''` when unset. */
export function text(message: MessageObject | undefined, field: string): string {
  const value = member(message, field);
  return typeof value === 'string' ? value : '';
}

/** Text, or `undefined` when unset or empty. */
export function textOrNone(message: MessageObject | undefined, field: string): string | undefined {
  const value = text(message, field);
  return value === '' ? undefined : value;
}

/** A number (64-bit ones included), 0 when unset. */
export function number(message: MessageObject | undefined, field: string): number {
  return toNumber(member(message, field)) ?? 0;
}

function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'string' && value !== '' && !Number.isNaN(Number(value))) return Number(value);
  return undefined;
}

export function flag(message: MessageObject | undefined, field: string): boolean {
  return member(message, field) === true;
}

/** An enum's word; `fallback` when unset. A number that the proto does not know reads as its digits. */
export function word(message: MessageObject | undefined, field: string, fallback: string): string {
  const value = member(message, field);
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : fallback;
}

export function isMessage(value: unknown): value is MessageObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);
}

export function message(of: MessageObject | undefined, field: string): MessageObject | undefined {
  const value = member(of, field);
  return isMessage(value) ? value : undefined;
}

export function messages(of: MessageObject | undefined, field: string): readonly MessageObject[] {
  const value = member(of, field);
  return Array.isArray(value) ? value.filter(isMessage) : [];
}

export function texts(of: MessageObject | undefined, field: string): readonly string[] {
  const value = member(of, field);
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : [];
}

export function numbers(of: MessageObject | undefined, field: string): readonly number[] {
  const value = member(of, field);
  if (!Array.isArray(value)) return [];
  return value.map(toNumber).filter((entry): entry is number => entry !== undefined);
}

/** A map field's entries. */
export function entries(of: MessageObject | undefined, field: string): readonly (readonly [string, unknown])[] {
  const value = message(of, field);
  return value === undefined ? [] : Object.entries(value);
}

export function bytes(of: MessageObject | undefined, field: string): Buffer | undefined {
  const value = member(of, field);
  return Buffer.isBuffer(value) ? value : undefined;
}

/** google.protobuf.UInt32Value, DoubleValue, ...: `undefined` when the wrapper is not there. */
export function wrappedNumber(of: MessageObject | undefined, field: string): number | undefined {
  const value = message(of, field);
  return value === undefined ? toNumber(member(of, field)) : number(value, 'value');
}

export function wrappedFlag(of: MessageObject | undefined, field: string): boolean | undefined {
  const value = member(of, field);
  if (typeof value === 'boolean') return value;
  return isMessage(value) ? flag(value, 'value') : undefined;
}

/** google.protobuf.Duration in milliseconds, fractions kept; `undefined` when unset. */
export function milliseconds(of: MessageObject | undefined, field: string): number | undefined {
  const value = message(of, field);
  return value === undefined ? undefined : number(value, 'seconds') * 1000 + number(value, 'nanos') / 1e6;
}

/** envoy.type.v3.Percent; `undefined` when unset. */
export function percent(of: MessageObject | undefined, field: string): number | undefined {
  const value = message(of, field);
  return value === undefined ? undefined : number(value, 'value');
}

export function any(of: MessageObject | undefined, field: string): Any | undefined {
  return asAny(member(of, field));
}

/** A google.protobuf.Any as decoded; its value may have been left out when it is empty. */
export function asAny(value: unknown): Any | undefined {
  if (!isMessage(value)) return undefined;
  const payload = value.value;
  return { type_url: text(value, 'type_url'), value: Buffer.isBuffer(payload) ? payload : Buffer.alloc(0) };
}
