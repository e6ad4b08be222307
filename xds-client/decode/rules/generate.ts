/**
 * Reads the constraints of every message that a decoder declares from the .proto files of `@grpc/grpc-js-xds`, and what
 * dumps must redact. Run by `npm run support`; a test fails when rules.json is older than the protos or the decoders.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import protobuf from 'protobufjs';
import { NEWER } from '../../../protos/newer.ts';

const require = createRequire(import.meta.url);
const DEPS = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
const INCLUDES = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((folder) => join(DEPS, folder));
const PROTOBUFJS = dirname(require.resolve('protobufjs/package.json'));

function resolve(_origin: string, target: string): string {
  if (target.startsWith('/')) return target;
  const include = INCLUDES.find((folder) => existsSync(join(folder, target)));
  return join(include ?? PROTOBUFJS, target);
}

/**
 * The file that holds the message: of `envoy.config.cluster.v3.Cluster.RefreshRate`, the one of
 * `envoy/config/cluster/v3/*.proto` that has `message Cluster`.
 */
function fileOf(message: string): string {
  const folder = message.replace(/\.[A-Z].*$/, '').replaceAll('.', '/');
  const outer = message.slice(folder.length + 1).split('.')[0];
  for (const include of INCLUDES.filter((candidate) => existsSync(join(candidate, folder)))) {
    const file = readdirSync(join(include, folder)).find(
      (name) =>
        name.endsWith('.proto') && readFileSync(join(include, folder, name), 'utf8').includes(`\nmessage ${outer} {`),
    );
    if (file !== undefined) return `${folder}/${file}`;
  }
  throw new Error(`no file of ${folder}/ holds ${message}`);
}

function option(of: protobuf.ReflectionObject, name: string): unknown {
  // Two options of one field are two entries; the parts of one option that is written in parts are, too.
  const parsed: readonly unknown[] = [of.parsedOptions ?? []].flat();
  const found = parsed.flatMap((entry) =>
    typeof entry === 'object' && entry !== null && name in entry
      ? [(entry as { [option: string]: unknown })[name]]
      : [],
  );
  if (found.length === 0) return of.options?.[name];
  return found.every((entry) => typeof entry === 'object') ? Object.assign({}, ...found) : found[0];
}

interface Rules {
  fields: { [field: string]: unknown };
  required: { oneof: string; fields: string[] }[];
  sensitive: string[];
}

/** The constraints of what the packaged protos do not have yet. */
function addNewer(name: string, made: Rules): void {
  const newer = NEWER[name];
  for (const [field, rules] of Object.entries(newer?.rules ?? {})) {
    if (Object.keys(rules).length > 0) made.fields[field] = rules;
    else delete made.fields[field];
  }
  for (const { oneof, fields } of made.required) fields.push(...(newer?.oneofs?.[oneof]?.oneof ?? []));
}

function rulesOf(type: protobuf.Type | undefined): Rules {
  const made: Rules = { fields: {}, required: [], sensitive: [] };
  if (type === undefined) return made;
  for (const field of type.fieldsArray) {
    const rules = option(field, '(validate.rules)');
    if (rules !== undefined) made.fields[field.name] = rules;
    if (option(field, '(udpa.annotations.sensitive)') === true) made.sensitive.push(field.name);
  }
  for (const oneof of type.oneofsArray) {
    if (option(oneof, '(validate.required)') === true) {
      made.required.push({ oneof: oneof.name, fields: [...oneof.oneof] });
    }
  }
  return made;
}

/** The rules of the messages named, as rules.json has them. */
export function generateRules(types: readonly string[]): string {
  const root = new protobuf.Root();
  root.resolvePath = resolve;
  const packaged = types.filter((type) => NEWER[type]?.whole !== true);
  root.loadSync([...new Set(packaged.map(fileOf))], { keepCase: true });
  const out: { [type: string]: Rules } = {};
  for (const name of [...types].sort()) {
    const rules = rulesOf(NEWER[name]?.whole === true ? undefined : root.lookupType(name));
    addNewer(name, rules);
    if (Object.keys(rules.fields).length + rules.required.length + rules.sensitive.length > 0) out[name] = rules;
  }
  return `${JSON.stringify(out)}\n`;
}
