/**
 * Alarms for certificates that others renew, in files, by SDS or inline in the configuration: three quarters through their
 * life, nine tenths, and at its end. Those of the workload's own identity have alarms of their own.
 */
import { X509Certificate } from 'node:crypto';
import type { CertificateClock } from '../../certs/clock.ts';
import { LifeWatch } from '../../certs/life-watch.ts';
import type { LifeStage } from '../../certs/rotation.ts';
import type { IdentityCertificate } from '../../certs/source/contract.ts';
import type { ComponentLog } from '../log.ts';
import type { StatsStore } from '../observe/stats/contract.ts';
import { family, indices } from '../observe/stats/families.ts';
import type { SecretPayload } from '../tls/secret-table.ts';
import { logAge } from './ageing.ts';

const STAGES = ['life_expired', 'life_nine_tenths', 'life_three_quarters'] as const;
/** Under `tls_certificates.`, Tollway's own; there once a certificate serves. */
const STATS = family(STAGES, []);
const AT = indices(STAGES);
const STAT_OF: { readonly [stage in LifeStage]: number } = {
  'three-quarters': AT.LIFE_THREE_QUARTERS,
  'nine-tenths': AT.LIFE_NINE_TENTHS,
  expired: AT.LIFE_EXPIRED,
};

export interface CertificateAgesOptions {
  readonly clock: CertificateClock;
  readonly stats: StatsStore;
  readonly log: ComponentLog;
  /** The chain is the workload's own identity. */
  readonly isOwn: (chain: string) => boolean;
}

export class CertificateAges {
  readonly #options: CertificateAgesOptions;
  readonly #serving = new Map<string, IdentityCertificate>();
  #watch: LifeWatch | undefined;

  constructor(options: CertificateAgesOptions) {
    this.#options = options;
  }

  /** Serves from now on under the key. */
  set(key: string, payload: SecretPayload): void {
    if (payload.kind !== 'certificate' || this.#options.isOwn(payload.certificate.chain)) return;
    const { validFromDate, validToDate } = new X509Certificate(payload.certificate.chain);
    const validity = { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
    const { certificate: material } = payload;
    const since = validity.notBefore;
    this.#serving.set(key, { spiffeId: undefined, hint: undefined, material, validity, since });
    this.#changed();
  }

  delete(key: string): void {
    if (this.#serving.delete(key)) this.#changed();
  }

  close(): void {
    this.#watch?.close();
  }

  /** Two keys may have one certificate: it is told of once. */
  #changed(): void {
    const { clock, stats, log } = this.#options;
    if (this.#watch === undefined) {
      const block = stats.block('tls_certificates.', STATS);
      this.#watch = new LifeWatch(clock, {
        stage: (stage, { material, validity }) => {
          block.inc(STAT_OF[stage]);
          logAge(log, stage, nameOf(material.chain), validity.notAfter);
        },
        clockJumped: () => {},
      });
    }
    const distinct = new Map([...this.#serving.values()].map((one) => [one.material.chain, one]));
    this.#watch.watch([...distinct.values()]);
  }
}

function nameOf(chain: string): string {
  const { subjectAltName, serialNumber } = new X509Certificate(chain);
  const name = /^(?:URI|DNS):([^",]{1,200})/.exec(subjectAltName ?? '')?.[1];
  return `the certificate ${serialNumber.toLowerCase()}${name === undefined ? '' : ` of "${name}"`}`;
}
