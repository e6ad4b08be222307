/**
 * One walk over a decoded message before its decoder reads it: every field is held against the proto's constraints, and
 * against what its message's declaration says of it. So a decoder cannot forget either: a field that is set and not
 * acted on is reported here, however deep it lies. `Any` payloads are walked when they are unpacked.
 */
import { type FieldDescriptor, hasMessage, type MessageObject, messageFields } from '../../protos/index.ts';
import { type DecodeContext, declaredSupport, type Support } from './context.ts';
import { isMessage, number } from './fields.ts';
import { checkValue, type FieldRules, rulesOf } from './rules/rules.ts';

interface FieldPlan {
  readonly descriptor: FieldDescriptor;
  /** The message type to walk into; `undefined` for scalars, enums and the well-known types. */
  readonly nested: string | undefined;
  readonly rules: FieldRules | undefined;
  readonly ignored: string | undefined;
  readonly refused: string | undefined;
  /** With its message's name, as `/unsupported` shows it. */
  readonly qualified: string;
  /** What holds of every value of the type, whatever the field's own rules say. */
  readonly inherent: ((value: unknown) => string | undefined) | undefined;
}

interface Plan {
  readonly fields: ReadonlyMap<string, FieldPlan>;
  /** The fields whose constraints hold even when they are not set. */
  readonly checkedWhenAbsent: readonly FieldPlan[];
  readonly required: readonly { readonly oneof: string; readonly fields: readonly string[] }[];
}

const plans = new Map<string, Plan>();

const SCALARS = new Set(['string', 'bytes', 'bool', 'double', 'float']);

/** Whether an absent field of this shape has a default that its rules are held against. */
function hasDefault(field: FieldDescriptor): boolean {
  if (field.oneof !== undefined || field.mapKey !== undefined) return false;
  return !isWellKnown(field.type) && !hasMessage(field.type);
}

function isRequired(rules: FieldRules): boolean {
  return rules.message?.required === true || rules.duration?.required === true || rules.any?.required === true;
}

function isWellKnown(type: string): boolean {
  return type.startsWith('google.protobuf.');
}

const REALS = new Set(['double', 'float', 'google.protobuf.DoubleValue', 'google.protobuf.FloatValue']);

/** JSON has no such numbers, and a comparison with them decides nothing. */
function notFinite(value: unknown): string | undefined {
  const plain = isMessage(value) ? (value.value ?? 0) : value;
  return typeof plain === 'number' && !Number.isFinite(plain) ? `must be a finite number, is ${plain}` : undefined;
}

/** Envoy's limit: nanoseconds within 64 bits. */
const MAX_SECONDS = 9_223_372_035;

function outOfRange(value: unknown): string | undefined {
  if (!isMessage(value)) return undefined;
  const [seconds, nanos] = [number(value, 'seconds'), number(value, 'nanos')];
  const stands = Math.abs(seconds) <= MAX_SECONDS && Math.abs(nanos) < 1e9 && seconds * nanos >= 0;
  return stands ? undefined : `Duration out-of-range: seconds: ${seconds} nanos: ${nanos}`;
}

function inherentCheck(type: string): FieldPlan['inherent'] {
  if (type === 'google.protobuf.Duration') return outOfRange;
  return REALS.has(type) ? notFinite : undefined;
}

/** What is wrong with one value, an element of a list or the field's own. */
function problemOf(value: unknown, plan: FieldPlan, rules: FieldRules | undefined): string | undefined {
  const problem = plan.inherent?.(value);
  if (problem !== undefined || rules === undefined) return problem;
  return checkValue(unwrapped(value, plan.descriptor.type), rules);
}

function planField(
  message: string,
  descriptor: FieldDescriptor,
  rules: FieldRules | undefined,
  treatment: Support | undefined,
): FieldPlan {
  const { name, type } = descriptor;
  const ignored = treatment?.ignored[name];
  const refused = treatment?.refused[name];
  const walked = ignored === undefined && refused === undefined && !isWellKnown(type) && hasMessage(type);
  const nested = walked ? type : undefined;
  const inherent = inherentCheck(type);
  return { descriptor, nested, rules, ignored, refused, qualified: `${message}.${name}`, inherent };
}

function planOf(type: string): Plan {
  const known = plans.get(type);
  if (known !== undefined) return known;
  const treatment = declaredSupport().get(type);
  const rules = rulesOf(type);
  const fields = new Map<string, FieldPlan>();
  for (const descriptor of messageFields(type)) {
    fields.set(descriptor.name, planField(type, descriptor, rules?.fields[descriptor.name], treatment));
  }
  // A oneof's member is not there when another one is: its own rules wait until it is set.
  const checkedWhenAbsent = [...fields.values()].filter(
    ({ descriptor, rules: own }) =>
      own !== undefined &&
      descriptor.oneof === undefined &&
      (isRequired(own) || own.repeated?.min_items !== undefined || (hasDefault(descriptor) && !descriptor.repeated)),
  );
  const made: Plan = { fields, checkedWhenAbsent, required: rules?.required ?? [] };
  plans.set(type, made);
  return made;
}

/** What an absent scalar is, for its rules. */
function defaultOf(type: string): unknown {
  if (type === 'string') return '';
  if (type === 'bool') return false;
  if (type === 'bytes') return Buffer.alloc(0);
  return SCALARS.has(type) || /int|fixed/.test(type) ? 0 : undefined;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}

/** A value that says no more than leaving the field out would. */
function isIdle(value: unknown, descriptor: FieldDescriptor): boolean {
  if (value === false || value === 0 || value === '' || value === '0') return descriptor.oneof === undefined;
  if (!isMessage(value)) return Buffer.isBuffer(value) && value.length === 0;
  if (descriptor.mapKey !== undefined) return Object.keys(value).length === 0;
  return descriptor.type === 'google.protobuf.BoolValue' && value.value !== true;
}

function checkAbsent(plan: FieldPlan, ctx: DecodeContext): void {
  const { descriptor, rules } = plan;
  if (rules === undefined) return;
  if (rules.repeated?.min_items !== undefined) {
    ctx.error(`value must contain at least ${String(rules.repeated.min_items)} item(s)`, descriptor.name);
  } else if (descriptor.repeated) {
    return;
  } else if (isRequired(rules)) {
    ctx.error('value is required', descriptor.name);
  } else if (hasDefault(descriptor)) {
    const problem = checkValue(defaultOf(descriptor.type), rules);
    if (problem !== undefined) ctx.error(problem, descriptor.name);
  }
}

function checkSequence(value: readonly unknown[], plan: FieldPlan, ctx: DecodeContext): void {
  const { rules, descriptor } = plan;
  const own = rules?.repeated;
  if (own === undefined) return;
  const { min_items: least, max_items: most } = own;
  if (typeof least === 'number' && value.length < least) {
    ctx.error(`value must contain at least ${least} item(s), has ${value.length}`, descriptor.name);
  }
  if (typeof most === 'number' && value.length > most) {
    ctx.error(`value must contain no more than ${most} item(s), has ${value.length}`, descriptor.name);
  }
  if (own.unique === true && new Set(value).size !== value.length) {
    ctx.error('repeated value must contain unique items', descriptor.name);
  }
}

/** A wrapper's number for its rules (`uint32` on a UInt32Value); other values as they are. */
function unwrapped(value: unknown, type: string): unknown {
  if (!isMessage(value) || !type.endsWith('Value') || !isWellKnown(type)) return value;
  return value.value ?? (type === 'google.protobuf.StringValue' ? '' : 0);
}

function inspectValue(value: unknown, plan: FieldPlan, rules: FieldRules | undefined, ctx: DecodeContext): void {
  const problem = problemOf(value, plan, rules);
  if (problem !== undefined) ctx.error(problem);
  if (plan.nested !== undefined && isMessage(value)) inspect(plan.nested, value, ctx);
}

function inspectField(value: unknown, plan: FieldPlan, ctx: DecodeContext): void {
  const { descriptor, rules } = plan;
  const { name } = descriptor;
  if (plan.refused !== undefined) {
    if (!isIdle(value, descriptor)) ctx.error(`is not supported: ${plan.refused}`, name);
    return;
  }
  if (plan.ignored !== undefined) {
    if (!isIdle(value, descriptor)) ctx.ignore(plan.qualified, plan.ignored, name);
    // A value that cannot stand is wrong even where it does nothing.
    const problem = problemOf(value, plan, rules);
    if (problem !== undefined) ctx.error(problem, name);
    return;
  }
  if (Array.isArray(value)) {
    checkSequence(value, plan, ctx);
    const items = rules?.repeated?.items as FieldRules | undefined;
    if (plan.nested === undefined && items === undefined && plan.inherent === undefined) return;
    ctx.at(name, () => {
      for (const [index, entry] of value.entries()) ctx.at(index, () => inspectValue(entry, plan, items, ctx));
    });
    return;
  }
  if (descriptor.mapKey !== undefined && isMessage(value)) {
    if (plan.nested === undefined && plan.inherent === undefined) return;
    ctx.at(name, () => {
      for (const [key, entry] of Object.entries(value)) ctx.atKey(key, () => inspectValue(entry, plan, undefined, ctx));
    });
    return;
  }
  if (plan.nested === undefined && rules === undefined && plan.inherent === undefined) return;
  ctx.at(name, () => inspectValue(value, plan, rules, ctx));
}

/** Holds the message against its constraints and declarations; findings go to `ctx`, rooted at its current path. */
export function inspect(type: string, message: MessageObject, ctx: DecodeContext): void {
  const plan = planOf(type);
  for (const field of Object.keys(message)) {
    const fieldPlan = plan.fields.get(field);
    if (fieldPlan !== undefined && isSet(message[field])) inspectField(message[field], fieldPlan, ctx);
  }
  for (const absent of plan.checkedWhenAbsent) {
    if (!isSet(message[absent.descriptor.name])) checkAbsent(absent, ctx);
  }
  for (const { oneof, fields } of plan.required) {
    if (!fields.some((field) => isSet(message[field]))) ctx.error(`one of ${fields.join(', ')} is required`, oneof);
  }
}
