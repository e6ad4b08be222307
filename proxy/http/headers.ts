/**
 * HTTP fields in the order they came. Names are lower case; `spelling` keeps the name as it was written where the
 * configuration preserves header case. Pseudo headers are not in here: they are members of the request or response head.
 *
 * Two parallel arrays and a linear search: a message has ten to thirty fields, names are interned by the codecs, and a
 * search that compares pointers beats hashing. Hot: do not add indirection without a micro benchmark.
 */
export class HeaderMap {
  /** Lower case. */
  readonly names: string[] = [];
  readonly values: string[] = [];
  /** The names as written, parallel to `names`; `undefined` unless header case is preserved. */
  spelling: string[] | undefined = undefined;

  get size(): number {
    return this.names.length;
  }

  /** The first value of `name` (lower case), or `undefined`. */
  get(name: string): string | undefined {
    const at = this.names.indexOf(name);
    return at < 0 ? undefined : this.values[at];
  }

  has(name: string): boolean {
    return this.names.indexOf(name) >= 0;
  }

  /** Every value of `name` joined with a comma, as a header matcher sees it; `undefined` when there is none. */
  joined(name: string): string | undefined {
    const { names, values } = this;
    const first = names.indexOf(name);
    if (first < 0) return undefined;
    let text = values[first] as string;
    for (let i = names.indexOf(name, first + 1); i >= 0; i = names.indexOf(name, i + 1)) text += `,${values[i]}`;
    return text;
  }

  /** Appends a field, whether or not the name is there. `name` is lower case. */
  add(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
    if (this.spelling !== undefined) this.spelling.push(name);
  }

  /** Replaces every field of that name by one, in the place of the first. */
  set(name: string, value: string): void {
    const at = this.names.indexOf(name);
    if (at < 0) {
      this.add(name, value);
      return;
    }
    this.values[at] = value;
    if (this.names.indexOf(name, at + 1) >= 0) this.removeFrom(name, at + 1);
  }

  /** Removes every field of that name; true when there was one. */
  remove(name: string): boolean {
    const at = this.names.indexOf(name);
    if (at < 0) return false;
    this.removeFrom(name, at);
    return true;
  }

  clone(): HeaderMap {
    const copy = new HeaderMap();
    for (let i = 0; i < this.names.length; i++) {
      copy.names.push(this.names[i] as string);
      copy.values.push(this.values[i] as string);
    }
    if (this.spelling !== undefined) copy.spelling = this.spelling.slice();
    return copy;
  }

  private removeFrom(name: string, start: number): void {
    const { names, values, spelling } = this;
    let kept = start;
    for (let i = start; i < names.length; i++) {
      if (names[i] === name) continue;
      if (kept !== i) {
        names[kept] = names[i] as string;
        values[kept] = values[i] as string;
        if (spelling !== undefined) spelling[kept] = spelling[i] as string;
      }
      kept++;
    }
    names.length = kept;
    values.length = kept;
    if (spelling !== undefined) spelling.length = kept;
  }
}

/** A request without its body. */
export interface RequestHead {
  method: string;
  /** Path and query as received (origin form); the authority's for CONNECT is in `authority` and this is empty. */
  path: string;
  /** The Host field or `:authority`; empty when HTTP/1.0 sent none. It is not repeated in `headers`. */
  authority: string;
  /** `http` or `https`: of the connection, until the connection manager says otherwise. */
  scheme: string;
  /** 10, 11 or 20. */
  version: 10 | 11 | 20;
  /** Extended CONNECT's `:protocol` (RFC 8441); an HTTP/1.1 `Upgrade` token arrives here too, its fields removed. */
  protocol: string | undefined;
  headers: HeaderMap;
}

/** A response without its body. */
export interface ResponseHead {
  status: number;
  headers: HeaderMap;
}
