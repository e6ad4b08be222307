/**
 * The constraints that Envoy's protos carry (protoc-gen-validate), as `generate.ts` read them from the descriptors into
 * rules.json, and their evaluation on one field. Words follow Envoy's: `value length must be at least 1 characters`.
 */
import { readFileSync } from 'node:fs';
import { number } from '../fields.ts';

type Scalar = string | number | boolean;

/** One field's constraints: `{"string": {"min_len": 1}}`, `{"message": {"required": true}}`, ... */
export interface FieldRules {
  readonly [kind: string]: { readonly [rule: string]: Scalar | object } | undefined;
}

export interface MessageRules {
  readonly fields: { readonly [field: string]: FieldRules };
  /** Oneofs of which one member has to be set. */
  readonly required: readonly { readonly oneof: string; readonly fields: readonly string[] }[];
  /** Fields that dumps must not show. */
  readonly sensitive: readonly string[];
}

const all = JSON.parse(readFileSync(new URL('./rules.json', import.meta.url), 'utf8')) as {
  readonly [type: string]: MessageRules | undefined;
};

export function rulesOf(type: string): MessageRules | undefined {
  return Object.hasOwn(all, type) ? all[type] : undefined;
}

const HEADER_FORBIDDEN = ['\u0000', '\n', '\r'];
const STRICT_HEADER_NAME = /^:?[0-9a-zA-Z!#$%&'*+.^_|~`-]+$/;

function bound(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') return Number(value);
  // A Duration, in milliseconds.
  const duration = value as { [part: string]: unknown };
  return number(duration, 'seconds') * 1000 + number(duration, 'nanos') / 1e6;
}

function checkRange(value: number, rule: { readonly [name: string]: unknown }, unit: string): string | undefined {
  const low = rule.gte ?? rule.gt;
  const high = rule.lte ?? rule.lt;
  const belowLow =
    (rule.gte !== undefined && value < bound(rule.gte)) || (rule.gt !== undefined && value <= bound(rule.gt));
  const aboveHigh =
    (rule.lte !== undefined && value > bound(rule.lte)) || (rule.lt !== undefined && value >= bound(rule.lt));
  if (!belowLow && !aboveHigh) return undefined;
  if (low !== undefined && high !== undefined) {
    const open = rule.gte !== undefined ? '[' : '(';
    const close = rule.lte !== undefined ? ']' : ')';
    return `value must be inside range ${open}${bound(low)}, ${bound(high)}${close}${unit}, is ${value}`;
  }
  const wanted = belowLow
    ? `greater than ${rule.gte !== undefined ? 'or equal to ' : ''}${bound(low)}`
    : `less than ${rule.lte !== undefined ? 'or equal to ' : ''}${bound(high)}`;
  return `value must be ${wanted}${unit}, is ${value}`;
}

function checkText(value: string, rule: { readonly [name: string]: unknown }): string | undefined {
  if (rule.ignore_empty === true && value === '') return undefined;
  const length = rule.min_len !== undefined || rule.max_len !== undefined ? [...value].length : 0;
  if (rule.min_len !== undefined && length < bound(rule.min_len)) {
    return `value length must be at least ${bound(rule.min_len)} characters`;
  }
  if (rule.max_len !== undefined && length > bound(rule.max_len)) {
    return `value length must be at most ${bound(rule.max_len)} characters`;
  }
  const size = Buffer.byteLength(value);
  if (rule.min_bytes !== undefined && size < bound(rule.min_bytes)) {
    return `value length must be at least ${bound(rule.min_bytes)} bytes`;
  }
  if (rule.max_bytes !== undefined && size > bound(rule.max_bytes)) {
    return `value length must be at most ${bound(rule.max_bytes)} bytes`;
  }
  if (rule.well_known_regex !== undefined && value !== '') {
    const name = rule.well_known_regex === 'HTTP_HEADER_NAME';
    const bad =
      HEADER_FORBIDDEN.some((character) => value.includes(character)) ||
      (name && rule.strict !== false && !STRICT_HEADER_NAME.test(value));
    if (bad) return `value is not a valid HTTP header ${name ? 'name' : 'value'}`;
  }
  if (typeof rule.pattern === 'string' && !new RegExp(rule.pattern).test(value)) {
    return `value does not match regex pattern "${rule.pattern}"`;
  }
  if (rule.in !== undefined && ![rule.in].flat().includes(value)) {
    return `value must be in list ${JSON.stringify([rule.in].flat())}, is "${value}"`;
  }
  return undefined;
}

/** A scalar, enum word, bytes, Duration or wrapped scalar against its rules; what is wrong, or `undefined`. */
export function checkValue(value: unknown, rules: FieldRules): string | undefined {
  for (const [kind, rule] of Object.entries(rules)) {
    if (rule === undefined) continue;
    const problem = checkKind(kind, value, rule);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkKind(kind: string, value: unknown, rule: { readonly [name: string]: unknown }): string | undefined {
  switch (kind) {
    case 'string':
      return typeof value === 'string' ? checkText(value, rule) : undefined;
    case 'bytes': {
      const size = Buffer.isBuffer(value) ? value.length : 0;
      if (rule.min_len !== undefined && size < bound(rule.min_len)) {
        return `value length must be at least ${bound(rule.min_len)} bytes`;
      }
      if (rule.max_len !== undefined && size > bound(rule.max_len)) {
        return `value length must be at most ${bound(rule.max_len)} bytes`;
      }
      return undefined;
    }
    case 'bool':
      return rule.const !== undefined && value !== rule.const ? `value must equal ${rule.const}` : undefined;
    case 'enum': {
      // proto-loader leaves a number where the enum has no word for it.
      if (rule.defined_only === true && typeof value === 'number') {
        return `value must be one of the defined enum values, is ${value}`;
      }
      return undefined;
    }
    case 'duration':
      return checkRange(bound(value ?? {}), rule, ' ms');
    case 'message':
    case 'any':
    case 'repeated':
    case 'map':
      return undefined;
    default:
      return checkRange(typeof value === 'number' ? value : Number(value ?? 0), rule, '');
  }
}
