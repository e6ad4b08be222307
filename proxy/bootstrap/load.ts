/**
 * The bootstrap of an Envoy command line: the file, `--config-yaml` merged over it, the node's names from flags. Every
 * problem is reported at once, with its path and the line it stands on.
 */
import { readFileSync, statSync } from 'node:fs';
import { extname } from 'node:path';
import type { Bootstrap as BootstrapMessage } from '../../protos/generated/envoy/config/bootstrap/v3.d.ts';
import { decodeMessage, encodeMessage, fromJson, type JsonProblem, mergeMessage, toJson } from '../../protos/index.ts';
import type { Decoded, UnsupportedField } from '../../xds-client/decode/context.ts';
import { whyRefused } from '../../xds-client/decode/index.ts';
import { errorMessage, ProxyError } from '../errors.ts';
import { hasDuplicateKeys } from './duplicate-keys.ts';
import { locate } from './locate.ts';
import { type Place, readYaml, type YamlNode } from './yaml-file.ts';

const type = 'envoy.config.bootstrap.v3.Bootstrap';
/** Larger than any bootstrap; smaller than what would hold up the start for seconds. */
const maxBytes = 64 * 1024 * 1024;
/** Text of this many characters is kept compressed. */
const PACKED_FROM = 64 * 1024;
const inline = '--config-yaml';
/** Of problems that a refusal lists. */
const maxLines = 100;

export interface BootstrapSource {
  readonly configPath: string | undefined;
  readonly configYaml: string | undefined;
  /** From flags; they win over the file's node. */
  readonly serviceNode?: string | undefined;
  readonly serviceCluster?: string | undefined;
  readonly serviceZone?: string | undefined;
  /** `--allow-unknown-static-fields`: they become warnings. */
  readonly allowUnknownFields?: boolean | undefined;
}

export interface BootstrapProblem {
  readonly path: string;
  readonly message: string;
  /** Undefined where the bootstrap came as protobuf bytes. */
  readonly place: Place | undefined;
}

export interface LoadedBootstrap<T> {
  /** As merged, for `/config_dump`. Kept as text or bytes, and read when it is asked for. */
  message(): BootstrapMessage;
  readonly bootstrap: T;
  readonly unsupported: readonly UnsupportedField[];
  readonly warnings: readonly BootstrapProblem[];
}

/** The bootstrap cannot be used. The message lists every problem, a line each. */
export class BootstrapError extends ProxyError {
  readonly problems: readonly BootstrapProblem[];

  constructor(message: string, problems: readonly BootstrapProblem[] = []) {
    super('bootstrap-invalid', message);
    this.name = 'BootstrapError';
    this.problems = problems;
  }
}

/** `file.yaml:3:5: static_resources.clusters[0].typo is not a field of ...` */
export function problemText(problem: BootstrapProblem): string {
  const { place, path, message } = problem;
  const where = place === undefined ? '' : `${place.file}:${place.line}:${place.column}: `;
  return `${where}${path === '' ? 'the bootstrap' : path} ${message}`;
}

interface Part {
  readonly message: BootstrapMessage;
  /** Where things stand in the text: read when there is a problem to tell of. */
  node(): YamlNode | undefined;
  readonly problems: readonly JsonProblem[];
}

function bytesOf(path: string): Buffer {
  try {
    if (statSync(path).size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
    return readFileSync(path);
  } catch (error) {
    throw new BootstrapError(`${path}: cannot be read: ${errorMessage(error)}`);
  }
}

function fromText(file: string, text: string): Part {
  const node = readYaml(file, text);
  const problems: JsonProblem[] = [];
  // An empty file is an empty bootstrap, as Envoy takes it.
  return { message: fromJson(type, node.json ?? {}, problems, 'held'), node: () => node, problems };
}

/**
 * JSON is read as what it is; YAML would make text of its fractions, and metadata keeps the difference. Text that is not
 * JSON is left to YAML, which says where it goes wrong.
 */
function fromJsonText(file: string, text: string): Part {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fromText(file, text);
  }
  // Refused there, with the line.
  if (hasDuplicateKeys(text)) return fromText(file, text);
  const problems: JsonProblem[] = [];
  let node: YamlNode | undefined;
  const places = (): YamlNode => {
    node ??= readYaml(file, text);
    return node;
  };
  return { message: fromJson(type, json, problems, 'held'), node: places, problems };
}

function readFile(path: string): Part {
  const bytes = bytesOf(path);
  const extension = extname(path);
  if (extension === '.pb') {
    try {
      return { message: decodeMessage(type, bytes), node: () => undefined, problems: [] };
    } catch (error) {
      throw new BootstrapError(`${path}: ${errorMessage(error)}`);
    }
  }
  if (extension === '.pb_text') throw new BootstrapError(`${path}: text protobuf is not read: use .yaml, .json or .pb`);
  const text = bytes.toString('utf8');
  const yaml = extension === '.yaml' || extension === '.yml' || !text.trimStart().startsWith('{');
  return yaml ? fromText(path, text) : fromJsonText(path, text);
}

function withNode(message: BootstrapMessage, source: BootstrapSource): BootstrapMessage {
  const { serviceNode, serviceCluster, serviceZone } = source;
  const node = { ...message.node };
  if (serviceNode) node.id = serviceNode;
  if (serviceCluster) node.cluster = serviceCluster;
  if (serviceZone) node.locality = { ...node.locality, zone: serviceZone };
  return { ...message, node };
}

/** Envoy's words: operators look for them. */
function nodeProblem(message: BootstrapMessage): string | undefined {
  const dynamic = message.dynamic_resources;
  const asks = dynamic?.ads_config ?? dynamic?.lds_config?.api_config_source ?? dynamic?.cds_config?.api_config_source;
  if (asks === undefined || (message.node?.id && message.node.cluster)) return undefined;
  return "ads: node 'id' and 'cluster' are required. Set it either in 'node' config or via --service-node and --service-cluster options.";
}

/** A semantic error at or around a place that did not even parse says the same thing twice. */
function follows(path: string, problems: readonly BootstrapProblem[]): boolean {
  return problems.some((problem) => problem.path.startsWith(path) || path.startsWith(problem.path));
}

/** A megabyte of clusters says much the same of each: it shrinks to a tenth. */
function packed(text: string): () => string {
  if (text.length < PACKED_FROM) return () => text;
  // Not imported: small bootstraps have no use for it.
  const { deflateRawSync, inflateRawSync } = process.getBuiltinModule('node:zlib');
  const bytes = deflateRawSync(text, { level: 1 });
  return () => inflateRawSync(bytes).toString('utf8');
}

/**
 * Outside of `loadBootstrap`: what it returns must not hold on to what was read. Text, for encoding to bytes would load
 * the codec and all types of a bootstrap at every start; what came as bytes has loaded them, and may hold what JSON cannot.
 */
function kept(message: BootstrapMessage, binary: boolean): () => BootstrapMessage {
  if (binary) {
    const bytes = encodeMessage(type, message);
    return () => decodeMessage(type, bytes);
  }
  const read = packed(JSON.stringify(toJson(type, message)));
  return () => fromJson(type, JSON.parse(read()), [], 'held');
}

/**
 * Reads, merges and decodes. `decode` makes the model of the merged message; its errors' paths are rooted at the
 * bootstrap. Throws `ProxyError` `bootstrap-invalid`, a `BootstrapError` where there are problems to list.
 */
export function loadBootstrap<T>(
  source: BootstrapSource,
  decode: (message: BootstrapMessage) => Decoded<T>,
): LoadedBootstrap<T> {
  if (!source.configPath && !source.configYaml) {
    throw new BootstrapError('at least one of --config-path or --config-yaml should be non-empty');
  }
  const base = source.configPath ? readFile(source.configPath) : undefined;
  const over = source.configYaml ? fromText(inline, source.configYaml) : undefined;
  const whole = mergeMessage(type, base?.message ?? {}, over?.message ?? {});
  const message = withNode(whole, source);
  const placeOf = (path: string): Place | undefined => locate(base?.node(), over?.node(), path);

  const problems: BootstrapProblem[] = [];
  const warnings: BootstrapProblem[] = [];
  for (const part of [base, over]) {
    for (const { path, message: words, kind, unknownType } of part?.problems ?? []) {
      const list = kind === 'unknown-field' && source.allowUnknownFields === true ? warnings : problems;
      const why = unknownType === undefined ? undefined : whyRefused(unknownType);
      const text = why === undefined ? words : `${words}: ${why}`;
      list.push({ path, message: text, place: locate(part?.node(), undefined, path) });
    }
  }
  const decoded = decode(message);
  if (!decoded.ok) {
    const unread = [...problems];
    for (const error of decoded.errors) {
      if (!follows(error.path, unread)) problems.push({ ...error, place: placeOf(error.path) });
    }
  }
  const unnamed = nodeProblem(message);
  const name = source.configPath ?? inline;
  if (problems.length > 0 || unnamed !== undefined) {
    const lines = problems.slice(0, maxLines).map(problemText);
    if (problems.length > maxLines) lines.push(`and ${problems.length - maxLines} more`);
    if (unnamed !== undefined) lines.push(unnamed);
    throw new BootstrapError(`error initializing configuration '${name}': ${lines.join('\n')}`, problems);
  }
  // Every reason not to be ok is a problem, and each of those has thrown.
  if (!decoded.ok) throw new BootstrapError(`error initializing configuration '${name}'`);
  return {
    message: kept(message, name.endsWith('.pb')),
    bootstrap: decoded.value,
    unsupported: decoded.unsupported,
    warnings,
  };
}
