/**
 * Tollway as its own agent: keeps what the identity's source gave last, supplies it in the place of an SDS stream, and tells
 * in statistics and log how its certificates age and what goes wrong.
 */
import type { CertificateClock } from '../../certs/clock.ts';
import { LifeWatch } from '../../certs/life-watch.ts';
import type { LifeStage } from '../../certs/rotation.ts';
import type {
  Identity,
  IdentityCertificate,
  IdentityListener,
  IdentityProblem,
  IdentitySource,
} from '../../certs/source/contract.ts';
import { encodeMessage, type MessageObject } from '../../protos/index.ts';
import { resourceDecoder } from '../../xds-client/decode-resource.ts';
import type { ConfigSource } from '../../xds-client/model/common.ts';
import type { Secret } from '../../xds-client/model/tls.ts';
import { RESOURCE_TYPES } from '../../xds-client/resource-types.ts';
import type { SecretSupply, SupplyListener } from '../../xds-client/supplied-source.ts';
import type { ComponentLog } from '../log.ts';
import type { StatBlock, StatsStore } from '../observe/stats/contract.ts';
import { logAge } from './ageing.ts';
import { identitySecret, isFileName, type SecretNames } from './identity-secrets.ts';
import { IDENTITY, IDENTITY_STATS, STAGE_STAT } from './identity-stats.ts';

export interface IdentityKeeperOptions {
  readonly source: IdentitySource;
  readonly clock: CertificateClock;
  /** The cluster in whose place the secrets are supplied, and their names. */
  readonly secrets: SecretNames & { readonly cluster: string };
  /** The source may have certificates under names of its own. */
  readonly manyNames: boolean;
  readonly stats: StatsStore;
  readonly log: ComponentLog;
}

const decode = resourceDecoder();
const { message, typeUrl } = RESOURCE_TYPES.secret;
/** The same problem is said again after this long. */
const REPEAT_MS = 30_000;

export class IdentityKeeper implements IdentityListener, SecretSupply {
  readonly #options: IdentityKeeperOptions;
  readonly #stats: StatBlock;
  readonly #watch: LifeWatch;
  readonly #listeners: SupplyListener[] = [];
  #identity: Identity | undefined;
  #version = 0;
  #saidReason = '';
  #saidAt = 0;

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    this.#stats = options.stats.block('identity.', IDENTITY_STATS);
    this.#watch = new LifeWatch(options.clock, {
      stage: (stage, certificate) => this.#aged(stage, certificate),
      clockJumped: (byMs) => {
        this.#stats.inc(IDENTITY.CLOCK_JUMP);
        options.log.warning({ byMs }, `the clock was set ${Math.abs(byMs)} ms ${byMs < 0 ? 'back' : 'forward'}`);
      },
    });
  }

  start(): void {
    this.#options.source.start(this);
  }

  close(): void {
    this.#watch.close();
    this.#options.source.close();
  }

  updated(identity: Identity): void {
    const served = new Set(this.#identity?.certificates.map(({ material }) => material.chain));
    this.#identity = identity;
    this.#version++;
    this.#saidReason = '';
    this.#stats.inc(IDENTITY.UPDATE_SUCCESS);
    this.#watch.watch(identity.certificates);
    for (const certificate of identity.certificates) {
      if (served.has(certificate.material.chain)) continue;
      this.#options.log.info({}, `${nameOf(certificate)} serves: valid until ${endOf(certificate)}`);
    }
    for (const listener of this.#listeners) listener.changed();
  }

  problem({ kind, reason, retryInMs }: IdentityProblem): void {
    this.#stats.inc(kind === 'refused' ? IDENTITY.UPDATE_REJECTED : IDENTITY.UPDATE_FAILURE);
    for (const listener of this.#listeners) listener.failed();
    const { clock, log } = this.#options;
    const now = clock.monotonic();
    if (reason === this.#saidReason && now < this.#saidAt + REPEAT_MS) return;
    this.#saidReason = reason;
    this.#saidAt = now;
    const next = retryInMs === undefined ? 'when there is something new' : `in ${Math.round(retryInMs)} ms`;
    log.warning({ kind }, `no new identity, ${this.#state()}: ${reason}; next try ${next}`);
  }

  /** Before each scrape. */
  refreshGauges(): void {
    const ends = (this.#identity?.certificates ?? []).map(({ validity }) => validity.notAfter);
    const end = ends.length === 0 ? 0 : Math.min(...ends);
    this.#stats.set(IDENTITY.EXPIRATION_UNIX_TIME_SECONDS, Math.floor(end / 1000));
    this.#stats.set(IDENTITY.LIFE_PERCENT, Math.round(this.#watch.lifeUsed() * 100));
    this.#stats.set(IDENTITY.VALID, end > this.#options.clock.now() ? 1 : 0);
  }

  replaces(source: ConfigSource): boolean {
    return source.kind === 'grpc' && source.cluster === this.#options.secrets.cluster;
  }

  supplies(name: string): boolean {
    const { secrets, manyNames } = this.#options;
    return manyNames || name === secrets.certificate || name === secrets.trust || isFileName(name);
  }

  secret(name: string): MessageObject | undefined {
    return identitySecret(name, this.#identity, this.#options.secrets);
  }

  version(): string {
    return String(this.#version);
  }

  /** The chain is ours, and its age is told of here. */
  watches(chain: string): boolean {
    return this.#identity?.certificates.some(({ material }) => material.chain === chain) === true;
  }

  /** The configured two, for the connection to the control plane. */
  ownSecrets(): readonly Secret[] {
    const { certificate, trust } = this.#options.secrets;
    return [certificate, trust].flatMap((name) => {
      const secret = this.secret(name);
      if (secret === undefined) return [];
      const decoded = decode('secret', { type_url: typeUrl, value: encodeMessage(message, secret) });
      return decoded.ok && decoded.value.kind === 'secret' ? [decoded.value.value] : [];
    });
  }

  subscribe(listener: SupplyListener): void {
    this.#listeners.push(listener);
  }

  #aged(stage: LifeStage, certificate: IdentityCertificate): void {
    this.#stats.inc(STAGE_STAT[stage]);
    logAge(this.#options.log, stage, nameOf(certificate), certificate.validity.notAfter);
  }

  #state(): string {
    const [first] = this.#identity?.certificates ?? [];
    if (first === undefined) return 'and there is none yet';
    const expired = first.validity.notAfter <= this.#options.clock.now();
    return expired ? `and the last one has expired at ${endOf(first)}` : `the last one stays until ${endOf(first)}`;
  }
}

function nameOf({ spiffeId }: IdentityCertificate): string {
  return spiffeId === undefined ? 'the certificate' : `the certificate of "${spiffeId}"`;
}

function endOf({ validity }: IdentityCertificate): string {
  return new Date(validity.notAfter).toISOString();
}
