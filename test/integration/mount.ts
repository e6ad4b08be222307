/** Kubernetes' way to mount a secret: the files are links into `..data`, itself a link that is swapped. */
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class Mount {
  readonly #folder: string;
  #version = 0;

  /** Makes the folder. */
  constructor(folder: string, files: { readonly [name: string]: string }) {
    this.#folder = folder;
    mkdirSync(folder);
    this.swap(files);
    for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(folder, name));
  }

  /** All of them at once. */
  swap(files: { readonly [name: string]: string }): void {
    this.#version++;
    const version = `..v${this.#version}`;
    mkdirSync(join(this.#folder, version));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.#folder, version, name), text);
    symlinkSync(version, join(this.#folder, '..data_tmp'));
    renameSync(join(this.#folder, '..data_tmp'), join(this.#folder, '..data'));
  }

  at(name: string): string {
    return join(this.#folder, name);
  }
}
