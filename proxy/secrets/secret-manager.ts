/**
 * TLS material on the main thread: resolves what listeners and clusters refer to (inline, files, environment, SDS), hands
 * it on when it is complete and again when it changes. Material that does not parse keeps the last good one in place.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { DataSource } from '../../xds-client/model/common.ts';
import type { Secret, TlsCertificate, TlsParameters, ValidationContext } from '../../xds-client/model/tls.ts';
import type { SecretUser } from '../../xds-client/resource-types.ts';
import { errorMessage } from '../errors.ts';
import { secretKey, validationKey } from '../tls/secret-key.ts';
import type { SecretPayload } from '../tls/secret-table.ts';

export interface SecretManagerOptions {
  /** Complete material: the first time and at each change. */
  readonly onMaterial: (key: string, payload: SecretPayload) => void;
  /** Why material cannot be used; never its content. */
  readonly onError: (key: string, message: string) => void;
}

/** What a key stands for. */
type Wanted =
  | { readonly kind: 'certificate'; readonly sds: string | undefined; readonly inline: TlsCertificate | undefined }
  | {
      readonly kind: 'trust';
      readonly sds: string | undefined;
      readonly inline: ValidationContext | undefined;
      readonly defaults: ValidationContext | undefined;
    };

/** Public material for `/certs`. */
export interface CertificateView {
  readonly ca: { readonly path: string; readonly pem: string } | undefined;
  readonly chain: { readonly path: string; readonly pem: string } | undefined;
}

/** Files are written one after the other: wait until both are there. */
const SETTLE_MS = 50;

export class SecretManager {
  private readonly options: SecretManagerOptions;
  private readonly wanted = new Map<string, Wanted>();
  private readonly sds = new Map<string, Secret>();
  private readonly payloads = new Map<string, { readonly text: string; readonly payload: SecretPayload }>();
  private readonly watchers = new Map<string, FSWatcher>();
  private generation = 0;
  private settling: NodeJS.Timeout | undefined;

  constructor(options: SecretManagerOptions) {
    this.options = options;
  }

  /** The keys that a listener or a cluster waits for; from now on they are resolved. */
  secretsOf(user: SecretUser): string[] {
    const keys = new Set<string>();
    for (const tls of contextsOf(user)) {
      for (const ref of tls.certificates) {
        const key = secretKey(ref);
        keys.add(key);
        const inline = ref.kind === 'inline' ? ref.secret : undefined;
        this.want(key, { kind: 'certificate', sds: ref.kind === 'sds' ? ref.name : undefined, inline });
      }
      const { validation } = tls;
      if (validation === undefined) continue;
      const key = validationKey(validation);
      keys.add(key);
      this.want(
        key,
        validation.kind === 'inline'
          ? { kind: 'trust', sds: undefined, inline: validation.context, defaults: undefined }
          : { kind: 'trust', sds: validation.name, inline: undefined, defaults: validation.defaults },
      );
    }
    return [...keys];
  }

  /** A secret of SDS or of the bootstrap came or changed. */
  setSecret(secret: Secret): void {
    this.sds.set(secret.name, secret);
    for (const [key, wanted] of this.wanted) if (wanted.sds === secret.name) this.resolve(key, wanted);
  }

  certificates(): readonly CertificateView[] {
    return [...this.payloads.values()].map(({ payload }) => {
      if (payload.kind === 'certificate') {
        return { ca: undefined, chain: { path: '<inline>', pem: payload.certificate.chain } };
      }
      const { trustedCa } = payload.trust;
      return { ca: trustedCa === undefined ? undefined : { path: '<inline>', pem: trustedCa }, chain: undefined };
    });
  }

  close(): void {
    clearTimeout(this.settling);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private want(key: string, wanted: Wanted): void {
    if (this.wanted.has(key)) return;
    this.wanted.set(key, wanted);
    // Not inside the caller's settling: what follows comes in a turn of its own.
    queueMicrotask(() => this.resolve(key, wanted));
  }

  private resolve(key: string, wanted: Wanted): void {
    try {
      const payload = wanted.kind === 'certificate' ? this.certificate(wanted) : this.trust(wanted);
      if (payload === undefined) return;
      const text = JSON.stringify({ ...payload, generation: 0 });
      if (this.payloads.get(key)?.text === text) return;
      this.payloads.set(key, { text, payload });
      this.options.onMaterial(key, payload);
    } catch (error) {
      this.options.onError(key, errorMessage(error));
    }
  }

  private certificate(wanted: Extract<Wanted, { kind: 'certificate' }>): SecretPayload | undefined {
    const secret = wanted.sds === undefined ? undefined : this.sds.get(wanted.sds);
    const config = wanted.inline ?? (secret?.kind === 'certificate' ? secret.certificate : undefined);
    if (config === undefined) return undefined;
    const chain = this.text(config.certificateChain, config.watchedDirectory);
    const key = this.text(config.privateKey, config.watchedDirectory);
    const password = config.password === undefined ? undefined : this.text(config.password, undefined).trimEnd();
    const leaf = new X509Certificate(chain);
    if (!leaf.checkPrivateKey(privateKey(key, password)))
      throw new Error('the private key does not match the certificate');
    return {
      kind: 'certificate',
      generation: ++this.generation,
      certificate: { chain, key, password, ocspStaple: undefined },
    };
  }

  private trust(wanted: Extract<Wanted, { kind: 'trust' }>): SecretPayload | undefined {
    const secret = wanted.sds === undefined ? undefined : this.sds.get(wanted.sds);
    const own = wanted.inline ?? (secret?.kind === 'validation' ? secret.validation : undefined);
    if (own === undefined) return undefined;
    const merged = wanted.defaults === undefined ? own : mergeValidation(wanted.defaults, own);
    const read = (source: DataSource | undefined) =>
      source === undefined ? undefined : this.text(source, merged.watchedDirectory);
    const trustedCa = read(merged.trustedCa);
    if (trustedCa !== undefined) new X509Certificate(trustedCa);
    const { trustedCa: _ca, crl, watchedDirectory: _directory, ...rules } = merged;
    return { kind: 'trust', generation: ++this.generation, trust: { trustedCa, crl: read(crl) }, rules };
  }

  private text(source: DataSource, watchedDirectory: string | undefined): string {
    switch (source.kind) {
      case 'inline':
        return Buffer.from(source.base64, 'base64').toString('utf8');
      case 'environment':
        return process.env[source.variable] ?? '';
      case 'file':
        this.watch(watchedDirectory ?? source.watchedDirectory ?? dirname(source.path));
        return readFileSync(source.path, 'utf8');
    }
  }

  /** Directories, not files: Kubernetes swaps a symlink beside them. */
  private watch(directory: string): void {
    if (this.watchers.has(directory)) return;
    const watcher = watch(directory, { persistent: false }, () => {
      clearTimeout(this.settling);
      this.settling = setTimeout(() => {
        for (const [key, wanted] of this.wanted) this.resolve(key, wanted);
      }, SETTLE_MS);
    });
    watcher.on('error', (error) => this.options.onError(directory, error.message));
    this.watchers.set(directory, watcher);
  }
}

function privateKey(key: string, passphrase: string | undefined): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(passphrase === undefined ? key : { key, passphrase });
  } catch {
    // OpenSSL's own words may quote what it read.
    throw new Error('the private key does not parse');
  }
}

/** What SDS brings wins member by member; lists are joined, as protobuf merges them. */
function mergeValidation(defaults: ValidationContext, own: ValidationContext): ValidationContext {
  return {
    trustedCa: own.trustedCa ?? defaults.trustedCa,
    watchedDirectory: own.watchedDirectory ?? defaults.watchedDirectory,
    sanMatches: [...defaults.sanMatches, ...own.sanMatches],
    certificateHashes: [...defaults.certificateHashes, ...own.certificateHashes],
    spkiHashes: [...defaults.spkiHashes, ...own.spkiHashes],
    crl: own.crl ?? defaults.crl,
    allowExpired: own.allowExpired || defaults.allowExpired,
    trustChain: own.trustChain === 'verify' ? defaults.trustChain : own.trustChain,
    maxVerifyDepth: own.maxVerifyDepth ?? defaults.maxVerifyDepth,
  };
}

function contextsOf(user: SecretUser): TlsParameters[] {
  const found: TlsParameters[] = [];
  if (user.kind === 'cluster') {
    const { transportSocket, transportSocketMatches } = user.value;
    for (const socket of [transportSocket, ...transportSocketMatches.map((match) => match.transportSocket)]) {
      if (socket.kind === 'tls') found.push(socket.tls.common);
    }
    return found;
  }
  const { filterChains, defaultFilterChain } = user.value;
  for (const chain of defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain]) {
    if (chain.transportSocket.kind === 'tls') found.push(chain.transportSocket.tls.common);
  }
  return found;
}
