/** One JSON scalar to the value a message object holds, or the words of what was expected. Ranges are the proto types'. */

export type Scalar =
  | { readonly ok: true; readonly value: string | number | boolean | Buffer }
  | { readonly ok: false; readonly expected: string };

interface Range {
  readonly min: bigint;
  readonly max: bigint;
  readonly words: string;
}

const signed32: Range = { min: -(2n ** 31n), max: 2n ** 31n - 1n, words: 'an integer of 32 bits' };
const unsigned32: Range = { min: 0n, max: 2n ** 32n - 1n, words: 'an integer from 0 to 4294967295' };
const signed64: Range = { min: -(2n ** 63n), max: 2n ** 63n - 1n, words: 'an integer of 64 bits' };
const unsigned64: Range = { min: 0n, max: 2n ** 64n - 1n, words: 'an unsigned integer of 64 bits' };

const integers: { readonly [type: string]: Range } = {
  int32: signed32,
  sint32: signed32,
  sfixed32: signed32,
  uint32: unsigned32,
  fixed32: unsigned32,
  int64: signed64,
  sint64: signed64,
  sfixed64: signed64,
  uint64: unsigned64,
  fixed64: unsigned64,
};

const maxFloat = 3.4028234663852886e38;

function integer(json: unknown, range: Range): Scalar {
  let value: bigint | undefined;
  if (typeof json === 'bigint') value = json;
  else if (typeof json === 'number' && Number.isInteger(json)) value = BigInt(json);
  else if (typeof json === 'string' && /^-?\d{1,20}$/.test(json)) value = BigInt(json);
  else if (typeof json === 'string' && /^-?\d{1,20}(\.\d+)?([eE][+-]?\d{1,3})?$/.test(json)) {
    const number = Number(json);
    if (Number.isInteger(number)) value = BigInt(number);
  }
  if (value === undefined || value < range.min || value > range.max) return { ok: false, expected: range.words };
  return { ok: true, value: Number(value) };
}

function real(json: unknown, single: boolean): Scalar {
  const expected = single ? 'a number of 32 bits' : 'a number';
  if (json === 'NaN' || json === 'Infinity' || json === '-Infinity') return { ok: true, value: Number(json) };
  const text = typeof json === 'string' && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(json);
  if (typeof json !== 'number' && typeof json !== 'bigint' && !text) return { ok: false, expected };
  const value = Number(json);
  // YAML has `.inf`: a number that JSON cannot write, and the proto can hold.
  const fits = Number.isFinite(value) ? !single || Math.abs(value) <= maxFloat : typeof json === 'number';
  return fits ? { ok: true, value } : { ok: false, expected };
}

function bytes(json: unknown): Scalar {
  const expected = 'bytes in base64';
  if (typeof json !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(json)) return { ok: false, expected };
  if (json.replace(/=+$/, '').length % 4 === 1) return { ok: false, expected };
  return { ok: true, value: Buffer.from(json, 'base64') };
}

/** `type` is a scalar's name as in a .proto file. */
export function readScalar(type: string, json: unknown): Scalar {
  const range = integers[type];
  if (range !== undefined) return integer(json, range);
  if (type === 'double' || type === 'float') return real(json, type === 'float');
  if (type === 'bytes') return bytes(json);
  if (type === 'bool') {
    return typeof json === 'boolean' ? { ok: true, value: json } : { ok: false, expected: 'true or false' };
  }
  return typeof json === 'string' ? { ok: true, value: json } : { ok: false, expected: 'a string' };
}

/** Whether a scalar is the one that proto3 does not send. */
export function isDefault(value: unknown): boolean {
  return value === 0 || value === '' || value === false || (Buffer.isBuffer(value) && value.length === 0);
}
