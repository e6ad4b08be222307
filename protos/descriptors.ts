/** What the messages look like: the descriptor file, read at first use, as the lookups the codec and the JSON mapping need. */
import { readFileSync } from 'node:fs';
import {
  type DescriptorFile,
  descriptorFileUrl,
  type EnumJson,
  type MessageJson,
  type ServiceJson,
} from './descriptor-file.ts';
import { NEWER, withNewer } from './newer.ts';

export interface Field {
  readonly name: string;
  /** The field's number on the wire. */
  readonly id: number;
  /** lowerCamelCase, as proto3 JSON has it. */
  readonly jsonName: string;
  /** A scalar's name, or the full name of a message or enum. Of a map: the value's. */
  readonly type: string;
  readonly kind: 'scalar' | 'message' | 'enum';
  readonly repeated: boolean;
  readonly mapKey: string | undefined;
  readonly oneof: string | undefined;
  /** Whether "not set" differs from the default: `optional` and oneof members, messages. */
  readonly presence: boolean;
  readonly deprecated: boolean;
}

export interface Message {
  readonly name: string;
  readonly fields: readonly Field[];
  /** By proto name and by JSON name. */
  readonly byName: ReadonlyMap<string, Field>;
}

export interface EnumType {
  readonly numbers: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<number, string>;
}

/** Megabytes that a process with its configuration read has little use for: let go, and read again when they are. */
let file: WeakRef<DescriptorFile> | undefined;
const messages = new Map<string, Message>();
const enums = new Map<string, EnumType>();

/** The whole descriptor file. Throws where the install step has not run. */
export function descriptorFile(): DescriptorFile {
  const known = file?.deref();
  if (known !== undefined) return known;
  try {
    const read = JSON.parse(readFileSync(descriptorFileUrl, 'utf8')) as DescriptorFile;
    file = new WeakRef(read);
    return read;
  } catch (error) {
    throw new Error('protos/generated/descriptors.json is missing or damaged: run `npm ci`', { cause: error });
  }
}

function own<T>(table: { readonly [name: string]: T }, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

export function messageJson(name: string): MessageJson | undefined {
  const packaged = own(descriptorFile().messages, name);
  const newer = own(NEWER, name);
  return newer === undefined ? packaged : withNewer(packaged, newer);
}

export function enumJson(name: string): EnumJson | undefined {
  return own(descriptorFile().enums, name);
}

export function serviceJson(name: string): ServiceJson | undefined {
  return own(descriptorFile().services, name);
}

export function lowerCamel(name: string): string {
  return name.replace(/_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function describe(name: string, json: MessageJson): Message {
  const oneofOf = new Map<string, string>();
  for (const [oneof, { oneof: members }] of Object.entries(json.oneofs ?? {})) {
    for (const member of members) oneofOf.set(member, oneof);
  }
  const fields = Object.entries(json.fields).map(([fieldName, field]): Field => {
    const type = field.type.startsWith('.') ? field.type.slice(1) : field.type;
    const kind = type === field.type ? 'scalar' : enumJson(type) === undefined ? 'message' : 'enum';
    const oneof = oneofOf.get(fieldName);
    const optional = field.options?.proto3_optional === true;
    return {
      name: fieldName,
      id: field.id,
      jsonName: lowerCamel(fieldName),
      type,
      kind,
      repeated: field.rule === 'repeated',
      mapKey: field.keyType,
      // protobufjs writes `optional` as a oneof of one member: not one that anybody declared.
      oneof: optional ? undefined : oneof,
      presence: optional || oneof !== undefined || kind === 'message',
      deprecated: field.options?.deprecated === true,
    };
  });
  const byName = new Map<string, Field>();
  for (const field of fields) byName.set(field.jsonName, field);
  for (const field of fields) byName.set(field.name, field);
  return { name, fields, byName };
}

/** The message of that full name, or undefined. */
export function findMessage(name: string): Message | undefined {
  const known = messages.get(name);
  if (known !== undefined) return known;
  const json = messageJson(name);
  if (json === undefined) return undefined;
  const made = describe(name, json);
  messages.set(name, made);
  return made;
}

/** The message of that full name. Throws where there is none. */
export function messageOf(name: string): Message {
  const found = findMessage(name);
  if (found === undefined) throw new Error(`no message type is called "${name}"`);
  return found;
}

const numbersOf = new Map<string, ReadonlyMap<number, Field>>();

/** A message's fields by their wire number. */
export function fieldNumbers(name: string): ReadonlyMap<number, Field> {
  const known = numbersOf.get(name);
  if (known !== undefined) return known;
  const made = new Map<number, Field>();
  for (const field of messageOf(name).fields) {
    const number = messageJson(name)?.fields[field.name]?.id;
    if (number !== undefined) made.set(number, field);
  }
  numbersOf.set(name, made);
  return made;
}

/** The enum of that full name. Throws where there is none. */
export function enumOf(name: string): EnumType {
  const known = enums.get(name);
  if (known !== undefined) return known;
  const json = enumJson(name);
  if (json === undefined) throw new Error(`no enum type is called "${name}"`);
  const entries = Object.entries(json.values);
  const made = { numbers: new Map(entries), names: new Map(entries.map(([key, value]) => [value, key] as const)) };
  enums.set(name, made);
  return made;
}
