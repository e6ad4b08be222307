/** google.protobuf.Struct and Value as plain JSON. */
import type { MessageObject } from '../../protos/index.ts';
import type { Json } from '../model/common.ts';
import { has, isMessage, message, messages, number, text } from './fields.ts';

/** The member under either spelling: protobufjs brings its own descriptor of Struct, in camel case. */
function either(of: MessageObject, snake: string, camel: string): string | undefined {
  if (has(of, snake)) return snake;
  return has(of, camel) ? camel : undefined;
}

export function valueToJson(value: MessageObject | undefined): Json {
  if (value === undefined) return null;
  const textField = either(value, 'string_value', 'stringValue');
  if (textField !== undefined) return text(value, textField);
  const numberField = either(value, 'number_value', 'numberValue');
  if (numberField !== undefined) return number(value, numberField);
  const flagField = either(value, 'bool_value', 'boolValue');
  if (flagField !== undefined) return value[flagField] === true;
  const structField = either(value, 'struct_value', 'structValue');
  if (structField !== undefined) return structToJson(message(value, structField));
  const listField = either(value, 'list_value', 'listValue');
  if (listField !== undefined) return messages(message(value, listField), 'values').map(valueToJson);
  return null;
}

export function structToJson(struct: MessageObject | undefined): { readonly [key: string]: Json } {
  const fields = message(struct, 'fields') ?? {};
  // fromEntries defines own members, so that a key named `__proto__` stays a key.
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, valueToJson(isMessage(value) ? value : undefined)]),
  );
}
