/** `ssl.certificate.<name>.expiration_unix_time_seconds`: when what serves ends, written when somebody scrapes. */
import { parseCertificates } from '../../certs/tls-context.ts';
import type { StatBlock, StatsStore } from '../observe/stats/contract.ts';
import { family } from '../observe/stats/families.ts';
import type { PublicMaterial } from './material.ts';

const FAMILY = family([], ['expiration_unix_time_seconds']);
/** Envoy's names for what has none: the digits are the hash of nothing. */
export const UNNAMED = { certificate: 'unnamed_cert_e3b0c442', trust: 'unnamed_ca_cert_e3b0c442' } as const;

export class ExpirationGauges {
  readonly #stats: StatsStore;
  readonly #blocks = new Map<string, StatBlock>();
  /** Material is replaced and never changed: each is parsed once. */
  readonly #known = new WeakMap<PublicMaterial, number | undefined>();

  constructor(stats: StatsStore) {
    this.#stats = stats;
  }

  /** When the certificate ends, or the first authority of a bundle; seconds since the epoch. */
  endOf(material: PublicMaterial, kind: keyof typeof UNNAMED): number | undefined {
    if (!this.#known.has(material)) this.#known.set(material, earliest(material.pem, kind === 'certificate'));
    return this.#known.get(material);
  }

  /** By prefix, `cluster.pay.ssl.certificate.default.`. Those that are not there any more vanish. */
  show(ends: ReadonlyMap<string, number>): void {
    for (const [prefix, block] of this.#blocks) {
      if (ends.has(prefix)) continue;
      block.release();
      this.#blocks.delete(prefix);
    }
    for (const [prefix, end] of ends) {
      let block = this.#blocks.get(prefix);
      if (block === undefined) {
        block = this.#stats.block(prefix, FAMILY);
        this.#blocks.set(prefix, block);
      }
      block.set(0, end);
    }
  }
}

function earliest(pem: string, leafOnly: boolean): number | undefined {
  try {
    const all = parseCertificates(pem).map(({ validToDate }) => Math.floor(validToDate.getTime() / 1000));
    return leafOnly ? all[0] : Math.min(...all);
  } catch {
    // what serves was checked; what cannot be read all the same has no end to show
    return undefined;
  }
}
