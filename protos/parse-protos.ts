/** .proto files to the flat descriptor file. Runs at install only. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import type { DescriptorFile, EnumJson, FieldJson, MessageJson, MethodJson, ServiceJson } from './descriptor-file.ts';

/** These hold options for code generators and documentation, and no message that is ever sent. */
const annotations =
  /^(validate\/validate|google\/api\/annotations|google\/protobuf\/descriptor|(envoy|udpa)\/annotations\/.*|xds\/annotations\/.*)\.proto$/;

/** Imports that no package carries. Fields of their types are left out of the descriptors. */
const absent: ReadonlySet<string> = new Set([
  'opencensus/proto/trace/v1/trace.proto',
  'opencensus/proto/trace/v1/trace_config.proto',
  'io/prometheus/client/metrics.proto',
]);

function readAll(files: readonly string[], includeDirs: readonly string[]): protobuf.Root {
  const root = new protobuf.Root();
  const seen = new Set<string>();
  const pending = [...files];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file) || annotations.test(file) || absent.has(file)) continue;
    seen.add(file);
    const wellKnown = protobuf.common.get(file);
    if (wellKnown?.nested) {
      root.addJSON(wellKnown.nested);
      continue;
    }
    const path = includeDirs.map((dir) => join(dir, String(file))).find((candidate) => existsSync(candidate));
    if (path === undefined) throw new Error(`${file} is imported and is in none of ${includeDirs.join(', ')}`);
    const parsed = protobuf.parse(readFileSync(path, 'utf8'), root, { keepCase: true });
    pending.push(...(parsed.imports ?? []), ...(parsed.weakImports ?? []));
  }
  return root;
}

/** protobufjs keeps google.protobuf's own names in camelCase. */
function protoName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const scalars: ReadonlySet<string> = new Set(Object.keys(protobuf.types.basic).concat('bytes'));

function resolvedType(field: protobuf.FieldBase, parent: protobuf.Type): string | undefined {
  if (scalars.has(field.type)) return field.type;
  try {
    return parent.lookupTypeOrEnum(field.type).fullName;
  } catch (error) {
    // Envoy's imports of absent packages only: anything else is a hole nobody meant.
    if (/^(opencensus|io\.prometheus)\./.test(field.type)) return undefined;
    throw error;
  }
}

function messageJson(type: protobuf.Type): MessageJson {
  const fields: { [name: string]: FieldJson } = {};
  const renames = type.fullName.startsWith('.google.protobuf.');
  const nameOf = (name: string): string => (renames ? protoName(name) : name);
  for (const field of type.fieldsArray) {
    const resolved = resolvedType(field, type);
    if (resolved === undefined) continue;
    const options: { deprecated?: boolean; proto3_optional?: boolean } = {};
    if (field.options?.deprecated === true) options.deprecated = true;
    if (field.options?.proto3_optional === true) options.proto3_optional = true;
    fields[nameOf(field.name)] = {
      id: field.id,
      type: resolved,
      ...(field.repeated ? { rule: 'repeated' as const } : {}),
      ...(field instanceof protobuf.MapField ? { keyType: field.keyType } : {}),
      ...(Object.keys(options).length > 0 ? { options } : {}),
    };
  }
  const oneofs: { [name: string]: { oneof: string[] } } = {};
  for (const oneof of type.oneofsArray) {
    const members = oneof.oneof.map(nameOf).filter((name) => fields[name] !== undefined);
    if (members.length > 0) oneofs[oneof.name] = { oneof: members };
  }
  return Object.keys(oneofs).length > 0 ? { fields, oneofs } : { fields };
}

function serviceJson(service: protobuf.Service): ServiceJson {
  const methods: { [name: string]: MethodJson } = {};
  for (const method of service.methodsArray) {
    methods[method.name] = {
      requestType: service.lookupType(method.requestType).fullName.slice(1),
      responseType: service.lookupType(method.responseType).fullName.slice(1),
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
    };
  }
  return { methods };
}

/** Reads `files` and what they import. Throws where a file does not parse or a type is nowhere. */
export function parseProtos(files: readonly string[], includeDirs: readonly string[]): DescriptorFile {
  const messages: { [name: string]: MessageJson } = {};
  const enums: { [name: string]: EnumJson } = {};
  const services: { [name: string]: ServiceJson } = {};
  const visit = (namespace: protobuf.NamespaceBase): void => {
    for (const object of namespace.nestedArray) {
      const name = object.fullName.slice(1);
      if (object instanceof protobuf.Type) messages[name] = messageJson(object);
      if (object instanceof protobuf.Enum) enums[name] = { values: object.values };
      if (object instanceof protobuf.Service) services[name] = serviceJson(object);
      if (object instanceof protobuf.Namespace) visit(object);
    }
  };
  visit(readAll(files, includeDirs));
  return { messages, enums, services };
}
