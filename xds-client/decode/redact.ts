/**
 * What a dump may show of a resource. Fields that the protos mark as sensitive (private keys, passwords, inline secrets)
 * are replaced as Envoy's config_dump does: text by `[redacted]`, bytes by the bytes of `[redacted]`, everything else in
 * them left out.
 */
import { decodeMessage, encodeMessage, hasMessage, type MessageObject, messageFields } from '../../protos/index.ts';
import { asAny, isMessage } from './fields.ts';
import { rulesOf } from './rules/rules.ts';
import { messageName } from './unpack.ts';

const REDACTED = '[redacted]';

/** Every value of a sensitive field: nothing of it shows but that it is there. */
function blank(value: unknown): unknown {
  if (typeof value === 'string') return REDACTED;
  if (Buffer.isBuffer(value)) return Buffer.from(REDACTED);
  if (Array.isArray(value)) return value.map(blank);
  if (!isMessage(value)) return undefined;
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, blank(inner)]));
}

/** An `Any` with its payload redacted; one whose payload cannot be read shows nothing of it. */
function redactAny(value: unknown): unknown {
  const packed = asAny(value);
  if (packed === undefined) return value;
  const type = messageName(packed.type_url);
  if (!hasMessage(type)) return packed;
  try {
    return {
      type_url: packed.type_url,
      value: encodeMessage(type, redactMessage(type, decodeMessage(type, packed.value))),
    };
  } catch {
    return { type_url: packed.type_url, value: Buffer.alloc(0) };
  }
}

function redactValue(type: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((entry) => redactValue(type, entry));
  if (type === 'google.protobuf.Any') return redactAny(value);
  if (!isMessage(value) || type.startsWith('google.protobuf.') || !hasMessage(type)) return value;
  return redactMessage(type, value);
}

function redactMessage(type: string, message: MessageObject): MessageObject {
  const sensitive = rulesOf(type)?.sensitive ?? [];
  const redacted: MessageObject = {};
  const fields = new Map(messageFields(type).map((field) => [field.name, field]));
  for (const [name, value] of Object.entries(message)) {
    const field = fields.get(name);
    if (field === undefined) continue;
    if (sensitive.includes(name)) redacted[name] = blank(value);
    else if (field.mapKey !== undefined && isMessage(value)) {
      redacted[name] = Object.fromEntries(
        Object.entries(value).map(([key, entry]) => [key, redactValue(field.type, entry)]),
      );
    } else redacted[name] = redactValue(field.type, value);
  }
  return redacted;
}

/** A copy of the message that may be shown. `typeUrl`: with or without `type.googleapis.com/`. */
export function redactResource(typeUrl: string, message: MessageObject): MessageObject {
  return redactMessage(messageName(typeUrl), message);
}
