/**
 * Reads untyped YAML with a memory of what was read: every member that nobody asked for is a warning, so that a field of
 * Istio's API which this control plane does not act on is never silent.
 */
export class Fields {
  readonly path: string;
  private readonly members: { readonly [key: string]: unknown };
  private readonly seen = new Set<string>();
  private readonly warn: (message: string) => void;

  constructor(value: unknown, path: string, warn: (message: string) => void) {
    if (!isObject(value)) throw new MeshError(`${path} must be an object, not ${describe(value)}`);
    this.members = value;
    this.path = path;
    this.warn = warn;
  }

  has(name: string): boolean {
    return this.members[name] !== undefined && this.members[name] !== null;
  }

  text(name: string): string | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'string') return value;
    throw new MeshError(`${this.path}.${name} must be a string, not ${describe(value)}`);
  }

  requiredText(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw new MeshError(`${this.path}.${name} is required`);
    return value;
  }

  number(name: string): number | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'number') return value;
    throw new MeshError(`${this.path}.${name} must be a number, not ${describe(value)}`);
  }

  object(name: string): Fields | undefined {
    const value = this.take(name);
    return value === undefined ? undefined : new Fields(value, `${this.path}.${name}`, this.warn);
  }

  requiredObject(name: string): Fields {
    const value = this.object(name);
    if (value === undefined) throw new MeshError(`${this.path}.${name} is required`);
    return value;
  }

  /** A list of objects. One object in its place is taken as a list of one, with a warning. */
  list(name: string): Fields[] {
    const value = this.take(name);
    if (value === undefined) return [];
    if (isObject(value)) {
      this.warn(`${this.path}.${name} is a single object where Istio wants a list: taken as a list of one`);
      return [new Fields(value, `${this.path}.${name}`, this.warn)];
    }
    if (!Array.isArray(value)) throw new MeshError(`${this.path}.${name} must be a list, not ${describe(value)}`);
    return value.map((element, at) => new Fields(element, `${this.path}.${name}[${at}]`, this.warn));
  }

  texts(name: string): string[] {
    const value = this.take(name);
    if (value === undefined) return [];
    if (Array.isArray(value) && value.every((element) => typeof element === 'string')) return value;
    throw new MeshError(`${this.path}.${name} must be a list of strings, not ${describe(value)}`);
  }

  /** A map of strings, such as labels. */
  textMap(name: string): { readonly [key: string]: string } {
    const value = this.take(name);
    if (value === undefined) return {};
    if (!isObject(value)) throw new MeshError(`${this.path}.${name} must be a map, not ${describe(value)}`);
    return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, String(text)]));
  }

  /** A duration in Go's form (`1.5s`, `200ms`, `1m`), in milliseconds. */
  durationMs(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
    if (match === null)
      throw new MeshError(`${this.path}.${name} must be a duration such as 500ms or 3s, not "${text}"`);
    const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h'];
    return Number(match[1]) * unit;
  }

  names(): string[] {
    return Object.keys(this.members);
  }

  /** Says which members nobody read, and why that is so where `reason` is given. */
  finish(reason = 'is not acted on here'): void {
    for (const name of Object.keys(this.members)) {
      if (!this.seen.has(name)) this.warn(`${this.path}.${name} ${reason}`);
    }
  }

  /** Marks members as known to have no meaning here (documentation, Kubernetes' own). */
  skip(...names: readonly string[]): void {
    for (const name of names) this.seen.add(name);
  }

  private take(name: string): unknown {
    this.seen.add(name);
    const value = this.members[name];
    return value === null ? undefined : value;
  }
}

/** Something in the mesh's YAML that cannot stand. The message names the file, the resource and the field. */
export class MeshError extends Error {
  override readonly name = 'MeshError';
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  return Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`;
}
