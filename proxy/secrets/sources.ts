/** Data sources of one secret: inline and environment are there at once, files are watched together. */
import { type FileContents, WatchedFiles } from '../../certs/source/files.ts';
import type { DataSource } from '../../xds-client/model/common.ts';

export type Sources<Name extends string> = { readonly [name in Name]?: DataSource | undefined };
/** UTF-8 texts, but for OCSP staples, which are base64 of their bytes. */
export type Texts<Name extends string> = { readonly [name in Name]?: string };

export interface SourcesOptions<Name extends string> {
  readonly sources: Sources<Name>;
  readonly watchedDirectories: readonly (string | undefined)[];
  /** Names whose files nobody else may read. */
  readonly secrets: readonly Name[];
  /** Names whose bytes are no text. */
  readonly binary: readonly Name[];
  readonly environment: { readonly [name: string]: string | undefined };
  readonly check: (texts: Texts<Name>) => string | undefined;
  readonly onTexts: (texts: Texts<Name>) => void;
  readonly onError: (reason: string) => void;
}

/** Resolves the sources, tells of the texts now (nothing in files) or later, and again when files change. */
export class ResolvedSources<Name extends string> {
  readonly #files: WatchedFiles<Name> | undefined;

  constructor(options: SourcesOptions<Name>) {
    const fixed: { [name in Name]?: Buffer } = {};
    const paths: { [name in Name]?: string } = {};
    const directories: string[] = options.watchedDirectories.filter((directory) => directory !== undefined);
    for (const [name, source] of Object.entries(options.sources) as [Name, DataSource | undefined][]) {
      if (source === undefined) continue;
      if (source.kind === 'inline') fixed[name] = Buffer.from(source.base64, 'base64');
      else if (source.kind === 'file') {
        paths[name] = source.path;
        if (source.watchedDirectory !== undefined) directories.push(source.watchedDirectory);
      } else {
        const value = options.environment[source.variable];
        if (value === undefined) {
          options.onError(`the environment variable ${source.variable} is not set`);
          return;
        }
        fixed[name] = Buffer.from(value);
      }
    }
    const textsOf = (contents: FileContents<Name>): Texts<Name> => {
      const texts: { [name in Name]?: string } = {};
      for (const [name, bytes] of Object.entries({ ...fixed, ...contents }) as [Name, Buffer][]) {
        texts[name] = bytes.toString(options.binary.includes(name) ? 'base64' : 'utf8');
      }
      return texts;
    };
    if (Object.keys(paths).length > 0) {
      this.#files = new WatchedFiles<Name>({
        paths,
        directories,
        secrets: options.secrets,
        check: (contents) => options.check(textsOf(contents)),
        onChange: (contents) => options.onTexts(textsOf(contents)),
        onError: options.onError,
      });
      return;
    }
    const texts = textsOf({});
    const reason = options.check(texts);
    if (reason === undefined) options.onTexts(texts);
    else options.onError(reason);
  }

  close(): void {
    this.#files?.close();
  }
}
