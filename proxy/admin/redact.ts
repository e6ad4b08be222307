/** Takes secrets out of configuration before it is shown. */
import type { Json } from '../../xds-client/model/common.ts';

const TEXT = '[redacted]';
const BYTES = Buffer.from(TEXT).toString('base64');

/** Fields that Envoy's protos mark sensitive, and those that carry credentials in practice. */
const SENSITIVE = new Set([
  'private_key',
  'pkcs12',
  'password',
  'session_ticket_keys',
  'hmac_secret',
  'token_secret',
  'client_secret',
  'api_key',
  'access_token',
  'secret_access_key',
  'session_token',
]);
const SENSITIVE_HEADER = /authorization|cookie|token|secret|api[-_]?key|password/i;

/** A copy whose secrets are replaced; shapes stay, so that what is set can still be seen. */
export function redact(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(redact);
  const object = value as { readonly [key: string]: Json };
  const out: { [key: string]: Json } = {};
  const name = object.key ?? object.name;
  const secretPair = typeof name === 'string' && typeof object.value === 'string' && SENSITIVE_HEADER.test(name);
  for (const [key, inner] of Object.entries(object)) {
    const generic = key === 'generic_secret';
    const hide = SENSITIVE.has(key) || generic || (secretPair && (key === 'value' || key === 'raw_value'));
    out[key] = hide ? blacken(inner) : redact(inner);
  }
  return out;
}

function blacken(value: Json, key = ''): Json {
  if (Array.isArray(value)) return value.map((item) => blacken(item, key));
  if (typeof value === 'object' && value !== null) {
    const object = value as { readonly [key: string]: Json };
    return Object.fromEntries(Object.entries(object).map(([name, inner]) => [name, blacken(inner, name)]));
  }
  return typeof value === 'string' ? (key === 'inline_bytes' || key === 'raw_value' ? BYTES : TEXT) : value;
}
