/**
 * Material in files, read again when they change. Files that belong together (a chain and its key) are taken together
 * or not at all: a directory swapped underneath (Kubernetes' `..data`) or a half-written pair is read again until it
 * fits. What served goes on until then.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exposedKey } from './key-permissions.ts';
import { unfitFile } from './limits.ts';

/** Contents by the names that the paths were given under. */
export type FileContents<Name extends string> = { readonly [name in Name]?: Buffer };

export interface FilesOptions<Name extends string> {
  readonly paths: { readonly [name in Name]?: string };
  /** Those that nobody else may read: see `exposedKey`. */
  readonly secrets?: readonly Name[];
  /** Watched beside the files' own directories. */
  readonly directories: readonly string[];
  /** The reason why these contents cannot be used together, `undefined` when they can. */
  readonly check: (contents: FileContents<Name>) => string | undefined;
  /** The first contents that pass, and each that differ and pass. */
  readonly onChange: (contents: FileContents<Name>) => void;
  /** Files that are missing or do not pass, said once a state; the last good contents stay. */
  readonly onError: (reason: string) => void;
  /** How often to look without being told, for file systems that tell nothing. Default 10 000. */
  readonly pollMs?: number;
}

/** A writer that is half-way is given this long, in tries of RETRY_MS. */
const RETRIES = 4;
const RETRY_MS = 100;
const POLL_MS = 10_000;

export class WatchedFiles<Name extends string> {
  readonly #options: FilesOptions<Name>;
  readonly #watched = new Map<string, { readonly watcher: FSWatcher; readonly inode: number }>();
  readonly #poll: NodeJS.Timeout;
  #retry: NodeJS.Timeout | undefined;
  /**
   * Since the files last passed; the first reading is told of at once. Other movement in a busy directory is no reason to
   * begin again.
   */
  #attempts = RETRIES;
  #accepted: FileContents<Name> | undefined;
  #reported: string | undefined;
  #reading = false;
  #again = false;
  #closed = false;

  /** Reads at once; the first result comes in a later turn. */
  constructor(options: FilesOptions<Name>) {
    this.#options = options;
    this.#watchAll();
    this.#poll = setInterval(() => {
      this.#watchAll();
      void this.#read();
    }, options.pollMs ?? POLL_MS);
    this.#poll.unref();
    void this.#read();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#retry);
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  #directories(): Set<string> {
    const paths: string[] = this.#names().map((name) => dirname(this.#options.paths[name] ?? '.'));
    return new Set([...paths, ...this.#options.directories]);
  }

  #names(): Name[] {
    return (Object.keys(this.#options.paths) as Name[]).filter((name) => this.#options.paths[name] !== undefined);
  }

  /** Also what came in the place of a directory that was watched. */
  #watchAll(): void {
    for (const directory of this.#directories()) {
      const known = this.#watched.get(directory);
      const inode = inodeOf(directory);
      if (known?.inode === inode) continue;
      known?.watcher.close();
      this.#watched.delete(directory);
      if (inode !== undefined) this.#watch(directory, inode);
    }
  }

  #watch(directory: string, inode: number): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => void this.#read());
      watcher.on('error', () => watcher.close());
      this.#watched.set(directory, { watcher, inode });
    } catch {
      // the next poll tries again, and reading says what is missing
    }
  }

  /** One read at a time; what is asked for meanwhile happens once afterwards. */
  async #read(): Promise<void> {
    if (this.#closed) return;
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    const reason = await this.#take();
    this.#reading = false;
    if (this.#closed) return;
    if (reason === undefined) {
      this.#reported = undefined;
      this.#attempts = 0;
      clearTimeout(this.#retry);
      this.#retry = undefined;
    }
    if (this.#again) {
      this.#again = false;
      void this.#read();
    } else if (reason === undefined) {
      return;
    } else if (this.#attempts < RETRIES) {
      this.#retry ??= setTimeout(() => this.#tryAgain(), RETRY_MS).unref();
    } else if (reason !== this.#reported) {
      this.#reported = reason;
      this.#options.onError(reason);
    }
  }

  #tryAgain(): void {
    this.#retry = undefined;
    this.#attempts++;
    void this.#read();
  }

  /** Reads all and takes them when they pass. The reason when they do not. */
  async #take(): Promise<string | undefined> {
    const contents: { [name in Name]?: Buffer } = {};
    for (const name of this.#names()) {
      const path = this.#options.paths[name] ?? '';
      try {
        const unfit = unfitFile(await stat(path));
        if (unfit !== undefined) return `"${path}" ${unfit}`;
        const exposed = this.#options.secrets?.includes(name) === true ? exposedKey(path) : undefined;
        if (exposed !== undefined) return `the private key "${path}" ${exposed}`;
        contents[name] = await readFile(path);
      } catch (error) {
        return `cannot read "${path}": ${error instanceof Error ? Reflect.get(error, 'code') : 'failed'}`;
      }
    }
    const known = this.#accepted;
    if (known !== undefined && this.#names().every((name) => same(known[name], contents[name]))) return undefined;
    const reason = this.#options.check(contents);
    if (reason !== undefined) return reason;
    if (this.#closed) return undefined;
    this.#accepted = contents;
    this.#options.onChange(contents);
    return undefined;
  }
}

function same(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a !== undefined && b !== undefined && a.equals(b);
}

/** `undefined` when it is not there. */
function inodeOf(directory: string): number | undefined {
  return statSync(directory, { throwIfNoEntry: false })?.ino;
}
