/**
 * TLS material on the main thread: from what listeners and clusters refer to (inline, files, environment, SDS, the
 * bootstrap's secrets) to PEM for the workers. Only material that can serve goes out; what is bad is told and counted,
 * and the last good one stays. What nobody refers to any more is let go.
 */
import type { Secret } from '../../xds-client/model/tls.ts';
import type { SecretUser } from '../../xds-client/resource-types.ts';
import { STATIC_SOURCE } from '../../xds-client/secret-table.ts';
import { sourceKey } from '../../xds-client/wants.ts';
import type { StatBlock, StatsStore } from '../observe/stats/contract.ts';
import type { SecretPayload } from '../tls/secret-table.ts';
import { SSL_FACTORY, SSL_FACTORY_STATS } from '../tls/stats.ts';
import { ExpirationGauges, UNNAMED } from './expirations.ts';
import { Material, type Problem, type PublicMaterial } from './material.ts';
import { type ContextReferences, contextsOf, type Reference } from './references.ts';
import { FILE_ROTATION_FAILED, SDS, SDS_STATS } from './stats.ts';

export interface SecretManagerOptions {
  /** Complete and good: first, and at every change. Goes to the workers as a `secret` message, and to `secretReady`. */
  readonly onMaterial: (key: string, payload: SecretPayload) => void;
  /** Material that cannot be used, without its content. */
  readonly onProblem: (problem: Problem) => void;
  readonly stats: StatsStore;
  /** Nothing asks SDS for the name any more: its statistics go. */
  readonly onUnused: (name: string) => void;
  /** The user's own prefix: `listener.127.0.0.1_80.`, `cluster.pay.`. */
  readonly statPrefix: (user: SecretUser) => string;
  /** What data sources may name; the process's by default. */
  readonly environment?: { readonly [name: string]: string | undefined };
}

/** The certificates of a TLS context and the authority they are used with, as `/certs` shows them; public parts only. */
export interface CertificateView {
  readonly ca: PublicMaterial | undefined;
  readonly chains: readonly PublicMaterial[];
}

interface User {
  readonly keys: readonly string[];
  readonly contexts: readonly ContextReferences[];
  readonly prefix: string;
  readonly stats: StatBlock;
}

interface Entry {
  readonly material: Material;
  /** `sds.<name>.`; `undefined` for what is not fetched. */
  readonly stats: StatBlock | undefined;
}

export class SecretManager {
  readonly #options: SecretManagerOptions;
  readonly #entries = new Map<string, Entry>();
  /** By the resource's identity: a changed resource is another one, and what it refers to never changes. */
  readonly #users = new Map<SecretUser['value'], User>();
  /** By source and name. */
  readonly #secrets = new Map<string, Secret>();
  readonly #expirations: ExpirationGauges;
  #generation = 0;

  constructor(options: SecretManagerOptions) {
    this.#options = options;
    this.#expirations = new ExpirationGauges(options.stats);
  }

  /** Keys of the material that the resource needs before it serves. Loading begins with the first call. */
  secretsOf(user: SecretUser): readonly string[] {
    // asked at every settling of the configuration
    const known = this.#users.get(user.value);
    if (known !== undefined) return known.keys;
    const contexts = contextsOf(user);
    if (contexts.length === 0) return [];
    const references = contexts.flatMap(({ certificates, trust }) =>
      trust === undefined ? certificates : [...certificates, trust],
    );
    const keys = [...new Set(references.map(({ key }) => key))];
    const prefix = this.#options.statPrefix(user);
    const side = user.kind === 'listener' ? 'server' : 'client';
    const stats = this.#options.stats.block(`${prefix}${side}_ssl_socket_factory.`, SSL_FACTORY_STATS);
    this.#users.set(user.value, { keys, contexts, prefix, stats });
    for (const reference of references) this.#begin(reference);
    return keys;
  }

  /** What SDS or the bootstrap's static secrets gave; `source` as the configuration's `secret` change names it. */
  setSecret(secret: Secret, source: string): void {
    this.#secrets.set(`${source} ${secret.name}`, secret);
    for (const { material } of this.#entries.values()) {
      if (material.name === secret.name && this.#secretOf(material.reference) === secret) material.load(secret);
    }
  }

  /** Certificates and authorities in use for `/certs`: a row a TLS context, once its material is complete. */
  certificates(): readonly CertificateView[] {
    const rows: CertificateView[] = [];
    for (const { contexts } of this.#users.values()) {
      for (const { certificates, trust } of contexts) {
        const chains = certificates.map(({ key }) => this.#entries.get(key)?.material);
        const ca = trust === undefined ? undefined : this.#entries.get(trust.key)?.material;
        if (chains.some((chain) => chain?.complete !== true) || (trust !== undefined && ca?.complete !== true))
          continue;
        rows.push({
          ca: ca?.shown,
          chains: chains.flatMap((chain) => (chain?.shown === undefined ? [] : [chain.shown])),
        });
      }
    }
    return rows;
  }

  /** Brings the expiration gauges up to date. Before each scrape. */
  refreshGauges(): void {
    const ends = new Map<string, number>();
    for (const { contexts, prefix } of this.#users.values()) {
      for (const { certificates, trust } of contexts) {
        for (const { key, kind } of trust === undefined ? certificates : [...certificates, trust]) {
          const material = this.#entries.get(key)?.material;
          const end = material?.shown === undefined ? undefined : this.#expirations.endOf(material.shown, kind);
          if (end === undefined) continue;
          const name = `${prefix}ssl.certificate.${material?.name ?? UNNAMED[kind]}.`;
          // chains of one listener may use several without a name: the first to end is the one to know of
          ends.set(name, Math.min(end, ends.get(name) ?? end));
        }
      }
    }
    this.#expirations.show(ends);
  }

  /**
   * Lets go of what no resource but these needs: stops watching, forgets the keys. Gives the material's keys, which the
   * workers and the configuration forget too. Call it when resources have gone or changed.
   */
  retain(users: Iterable<SecretUser>): string[] {
    const staying = new Set<SecretUser['value']>();
    for (const user of users) {
      this.secretsOf(user);
      staying.add(user.value);
    }
    const needed = new Set<string>();
    for (const [value, { keys, stats }] of this.#users) {
      if (staying.has(value)) {
        for (const key of keys) needed.add(key);
      } else {
        stats.release();
        this.#users.delete(value);
      }
    }
    const gone: string[] = [];
    for (const [key, { material, stats }] of this.#entries) {
      if (needed.has(key)) continue;
      material.close();
      this.#entries.delete(key);
      gone.push(key);
      if (stats === undefined || material.name === undefined) continue;
      stats.release();
      if (!this.#isFetched(material.name)) this.#options.onUnused(material.name);
    }
    this.#forgetSecrets();
    return gone;
  }

  close(): void {
    this.retain([]);
  }

  #begin(reference: Reference): void {
    if (this.#entries.has(reference.key)) return;
    const { ref } = reference;
    const entry: Entry = {
      material: new Material({
        reference,
        environment: this.#options.environment ?? process.env,
        nextGeneration: () => {
          this.#generation++;
          return this.#generation;
        },
        onPayload: (payload) => this.#later(reference.key, entry, () => this.#serve(reference, payload)),
        onProblem: (problem) => this.#later(reference.key, entry, () => this.#tell(problem, entry.stats)),
      }),
      stats: isFetched(ref) ? this.#options.stats.block(`sds.${ref.name}.`, SDS_STATS) : undefined,
    };
    this.#entries.set(reference.key, entry);
    entry.material.load(this.#secretOf(reference));
  }

  /** In a later turn: whoever asked `secretsOf` is in the middle of settling a configuration. */
  #later(key: string, entry: Entry, act: () => void): void {
    queueMicrotask(() => {
      if (this.#entries.get(key) === entry) act();
    });
  }

  #serve({ key, ref }: Reference, payload: SecretPayload): void {
    this.#options.onMaterial(key, payload);
    if (!isFetched(ref)) return;
    for (const { contexts, stats } of this.#users.values()) {
      for (const { certificates, trust } of contexts) {
        const uses = trust?.key === key || certificates.some((certificate) => certificate.key === key);
        if (uses) stats.inc(SSL_FACTORY.SSL_CONTEXT_UPDATE_BY_SDS);
      }
    }
  }

  #tell(problem: Problem, stats: StatBlock | undefined): void {
    const stat = problem.kind === 'rotation' ? SDS.KEY_ROTATION_FAILED : SDS.UPDATE_REJECTED;
    if (stats !== undefined) stats.inc(stat);
    else this.#options.stats.counter(FILE_ROTATION_FAILED).inc();
    this.#options.onProblem(problem);
  }

  #secretOf({ ref }: Reference): Secret | undefined {
    if (ref.kind !== 'sds') return undefined;
    const own = ref.source.kind === 'self' ? this.#secrets.get(`${STATIC_SOURCE} ${ref.name}`) : undefined;
    return own ?? this.#secrets.get(`${sourceKey(ref.source)} ${ref.name}`);
  }

  #isFetched(name: string): boolean {
    for (const { material, stats } of this.#entries.values()) {
      if (stats !== undefined && material.name === name) return true;
    }
    return false;
  }

  /** Control planes are asked again for what is needed again; the bootstrap is not. */
  #forgetSecrets(): void {
    const used = new Set<Secret | undefined>();
    for (const { material } of this.#entries.values()) used.add(this.#secretOf(material.reference));
    for (const [key, secret] of this.#secrets) {
      if (!key.startsWith(`${STATIC_SOURCE} `) && !used.has(secret)) this.#secrets.delete(key);
    }
  }
}

/** By SDS. What `self` names is the bootstrap's, and there from the start. */
function isFetched(ref: Reference['ref']): ref is Extract<Reference['ref'], { kind: 'sds' }> {
  return ref.kind === 'sds' && ref.source.kind !== 'self';
}
