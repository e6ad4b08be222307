/**
 * YAML as Envoy reads it, with the place of every key. Plain scalars are typed as yaml-cpp does (`yes` and `on` are true,
 * a fraction stays text and becomes what its field wants), and an entry whose key is tagged `!ignore` is left out: it is
 * where anchors are kept.
 */
import { type Alias, isAlias, isMap, isScalar, isSeq, LineCounter, type Pair, parseDocument, Scalar } from 'yaml';
import { ProxyError } from '../errors.ts';

/** Line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One value of the file and where it stands; `entries` and `items` are those of a map and of a list. */
export interface YamlNode {
  readonly json: unknown;
  readonly place: Place;
  readonly entries: ReadonlyMap<string, YamlNode> | undefined;
  readonly items: readonly YamlNode[] | undefined;
}

/** Aliases of aliases grow without end: this many values may come from them. */
const maxAliased = 200_000;
const maxDepth = 200;
/** More brackets, dashes or indentation than this stands open nowhere; the parser would run out of stack or memory over it. */
const maxOpen = 500;

const truths: ReadonlySet<string> = new Set(['y', 'yes', 'true', 'on']);
const untruths: ReadonlySet<string> = new Set(['n', 'no', 'false', 'off']);
const nulls: ReadonlySet<string> = new Set(['', '~', 'null', 'Null', 'NULL']);

/** yaml-cpp takes a word in lower case, in capitals, or with a capital first. */
function truth(text: string): boolean | undefined {
  if (!/^(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)$/.test(text)) return undefined;
  const lower = text.toLowerCase();
  if (truths.has(lower)) return true;
  return untruths.has(lower) ? false : undefined;
}

function plain(text: string): unknown {
  if (nulls.has(text)) return null;
  const bool = truth(text);
  if (bool !== undefined) return bool;
  if (/^[+-]?0[xX][0-9a-fA-F]{1,12}$/.test(text)) return signed(text, 16);
  if (/^[+-]?0[0-7]{1,16}$/.test(text)) return signed(text, 8);
  if (/^[+-]?\d{1,19}$/.test(text)) {
    const value = Number(text);
    // A field of 64 bits reads a larger one from its text, exactly.
    return Number.isSafeInteger(value) ? value : text.replace(/^\+/, '');
  }
  return text;
}

function signed(text: string, radix: number): number {
  const digits = text.replace(/^[+-]/, '').replace(/^0[xX]/, '');
  return (text.startsWith('-') ? -1 : 1) * Number.parseInt(digits, radix);
}

const newline = 10;
const space = 32;

/**
 * Where more stands open than can be read; -1 for nowhere. A rough count, for quotes are not looked at: closing brackets
 * take back opening ones, and a line's indentation is a level a column.
 */
function tooDeepAt(text: string): number {
  let open = 0;
  let column = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === newline) {
      column = 0;
      continue;
    }
    // `- - - x`, `? ? x` and indentation: each level has a column of its own.
    if (column >= 0 && (code === space || code === 45 || code === 63)) column++;
    else column = -1;
    if (code === 91 || code === 123) open++;
    else if ((code === 93 || code === 125) && open > 0) open--;
    if (open > maxOpen || column > 2 * maxOpen) return at;
  }
  return -1;
}

class Builder {
  private readonly file: string;
  private readonly lines = new LineCounter();
  private readonly document: ReturnType<typeof parseDocument>;
  private aliased = 0;
  private inAlias = false;

  constructor(file: string, text: string) {
    this.file = file;
    const deep = tooDeepAt(text);
    if (deep >= 0) {
      const before = text.slice(0, deep).split('\n');
      const place = `${file}:${before.length}:${(before.at(-1) ?? '').length + 1}`;
      throw new ProxyError('bootstrap-invalid', `${place}: is nested deeper than ${maxDepth}`);
    }
    this.document = parseDocument(text, {
      lineCounter: this.lines,
      keepSourceTokens: false,
      prettyErrors: false,
      // Its own check compares each with each.
      uniqueKeys: false,
    });
  }

  root(): YamlNode {
    const { errors } = this.document;
    const told = errors.slice(0, 10).map(({ pos, message }) => `${this.at(pos[0])}: ${message.slice(0, 500)}`);
    if (told.length > 0) throw new ProxyError('bootstrap-invalid', told.join('\n'));
    return this.node(this.document.contents, this.place(0), 0);
  }

  private place(offset: number): Place {
    const { line, col } = this.lines.linePos(offset);
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  private at(offset: number): string {
    const { file, line, column } = this.place(offset);
    return `${file}:${line}:${column}`;
  }

  /** `place` is the key's where there is one. */
  private node(given: unknown, place: Place, depth: number): YamlNode {
    if (this.inAlias) this.aliased += 1;
    if (this.aliased > maxAliased || depth > maxDepth) {
      const limit =
        depth > maxDepth ? `nested deeper than ${maxDepth}` : `made of more than ${maxAliased} aliased values`;
      throw new ProxyError('bootstrap-invalid', `${place.file}:${place.line}:${place.column}: is ${limit}`);
    }
    if (isAlias(given)) return this.alias(given, place, depth);
    if (isMap(given)) return this.map(given.items, place, depth);
    if (isSeq(given)) {
      const items = given.items.map((item) => this.node(item, this.itemPlace(item, place), depth + 1));
      return { json: items.map((item) => item.json), place, entries: undefined, items };
    }
    const json = isScalar(given) ? this.scalar(given) : null;
    return { json, place, entries: undefined, items: undefined };
  }

  private alias(alias: Alias, place: Place, depth: number): YamlNode {
    const outer = this.inAlias;
    this.inAlias = true;
    const made = this.node(alias.resolve(this.document), place, depth + 1);
    this.inAlias = outer;
    return made;
  }

  private scalar(scalar: Scalar): unknown {
    // A tag such as `!!str`, or quotes, says that it is text.
    if (scalar.type !== Scalar.PLAIN || scalar.tag === 'tag:yaml.org,2002:str') return String(scalar.value);
    return plain(scalar.source ?? '');
  }

  private map(pairs: readonly Pair[], place: Place, depth: number): YamlNode {
    const entries = new Map<string, YamlNode>();
    const json: { [key: string]: unknown } = {};
    for (const { key, value } of pairs) {
      if (isScalar(key) && key.tag === '!ignore') continue;
      const name = isScalar(key) ? (key.source ?? String(key.value)) : String(key);
      if (entries.has(name)) {
        const { file, line, column } = this.itemPlace(key, place);
        const shown = name.length > 100 ? `${name.slice(0, 100)}...` : name;
        throw new ProxyError(
          'bootstrap-invalid',
          `${file}:${line}:${column}: Map keys must be unique, "${shown}" is not`,
        );
      }
      const node = this.node(value, this.itemPlace(key, place), depth + 1);
      entries.set(name, node);
      Object.defineProperty(json, name, { value: node.json, enumerable: true, configurable: true, writable: true });
    }
    return { json, place, entries, items: undefined };
  }

  private itemPlace(item: unknown, otherwise: Place): Place {
    const range = isScalar(item) || isMap(item) || isSeq(item) || isAlias(item) ? item.range : undefined;
    return range ? this.place(range[0]) : otherwise;
  }
}

/** Reads YAML, and JSON as YAML. Throws `ProxyError` `bootstrap-invalid` with file, line and column where it does not parse. */
export function readYaml(file: string, text: string): YamlNode {
  return new Builder(file, text).root();
}
