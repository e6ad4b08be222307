/** Secrets: what SDS and the bootstrap gave, and which material is loaded. Pure; holds no key material of files. */

import type { ConfigChange } from './changes.ts';
import { equal } from './model/equal.ts';
import type { Secret } from './model/tls.ts';
import { type Reference, secretsOf } from './references.ts';
import type { SecretUser } from './resource-types.ts';
import { sourceKey } from './wants.ts';
import type { SecretFacts } from './warming.ts';

/** The source of the bootstrap's own secrets. */
export const STATIC_SOURCE = 'static';

export class SecretTable {
  private readonly keysOf: (resource: SecretUser) => readonly string[];
  /** By source and name: two sources may each have a `default`. */
  private readonly secrets = new Map<string, Secret>();
  private readonly loaded = new Set<string>();
  private readonly absent = new Set<string>();

  constructor(keysOf: (resource: SecretUser) => readonly string[]) {
    this.keysOf = keysOf;
  }

  /** `source`: wants.ts `sourceKey`, or `STATIC_SOURCE`. */
  put(source: string, name: string, secret: Secret, changes: ConfigChange[]): void {
    const key = keyOf(source, name);
    this.absent.delete(key);
    if (equal(this.secrets.get(key), secret)) return;
    this.secrets.set(key, secret);
    changes.push({ type: 'secret', name, source, secret });
  }

  /** It is the bootstrap's: nobody else is asked for it. */
  isStatic({ name, source }: Reference): boolean {
    return source.kind === 'self' && this.secrets.has(keyOf(STATIC_SOURCE, name));
  }

  ready(key: string): void {
    this.loaded.add(key);
  }

  /** Material that was let go: whoever needs it again waits for it again. */
  released(keys: readonly string[]): void {
    for (const key of keys) this.loaded.delete(key);
  }

  /** Forgets what the control plane sent for resources that are gone. Whoever asks again is sent it again. */
  retain(users: Iterable<SecretUser>): void {
    const used = new Set<string>();
    for (const user of users) {
      for (const { name, source } of secretsOf(user)) used.add(keyOf(sourceKey(source), name));
    }
    for (const key of this.secrets.keys()) {
      if (!used.has(key) && !key.startsWith(`${STATIC_SOURCE} `)) this.secrets.delete(key);
    }
    for (const key of this.absent) if (!used.has(key)) this.absent.delete(key);
  }

  /** Asked for and not sent in time. */
  giveUp(source: string, name: string): void {
    this.absent.add(keyOf(source, name));
  }

  facts(resource: SecretUser): SecretFacts {
    return {
      keys: this.keysOf(resource),
      isReady: (key) => this.loaded.has(key),
      isAbsent: ({ name, source }) => this.absent.has(keyOf(sourceKey(source), name)),
    };
  }
}

function keyOf(source: string, name: string): string {
  return `${source} ${name}`;
}
