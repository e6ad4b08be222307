/** Secrets: what SDS and the bootstrap gave, and which material is loaded. Pure; holds no key material of files. */

import type { ConfigChange } from './changes.ts';
import { equal } from './equal.ts';
import type { Secret } from './model/tls.ts';
import type { SecretUser } from './resource-types.ts';
import type { SecretFacts } from './warming.ts';

export class SecretTable {
  private readonly keysOf: (resource: SecretUser) => readonly string[];
  private readonly secrets = new Map<string, Secret>();
  private readonly loaded = new Set<string>();
  private readonly absent = new Set<string>();

  constructor(keysOf: (resource: SecretUser) => readonly string[]) {
    this.keysOf = keysOf;
  }

  put(name: string, secret: Secret, changes: ConfigChange[]): void {
    this.absent.delete(name);
    if (equal(this.secrets.get(name), secret)) return;
    this.secrets.set(name, secret);
    changes.push({ type: 'secret', name, secret });
  }

  has(name: string): boolean {
    return this.secrets.has(name);
  }

  ready(key: string): void {
    this.loaded.add(key);
  }

  /** Asked for and not sent in time. */
  giveUp(name: string): void {
    this.absent.add(name);
  }

  facts(resource: SecretUser): SecretFacts {
    return {
      keys: this.keysOf(resource),
      isReady: (key) => this.loaded.has(key),
      isAbsent: (name) => this.absent.has(name),
    };
  }
}
