/** Configurations, secrets and statistics for tests of TLS and listeners. */
import type { IssuedLeaf } from '../../certs/source/dev-ca.ts';
import type { Stat, StatBlock, StatFamily, StatsStore } from '../../proxy/observe/stats/contract.ts';
import type { ClientHello } from '../../proxy/tls/contract.ts';
import { secretKey, validationKey } from '../../proxy/tls/secret-key.ts';
import type { SecretTable } from '../../proxy/tls/secret-table.ts';
import type {
  DownstreamTls,
  SanMatch,
  TlsParameters,
  UpstreamTls,
  ValidationContext,
} from '../../xds-client/model/tls.ts';

export const ADS = { kind: 'ads' } as const;

export function uriSan(value: string, kind: 'exact' | 'prefix' | 'suffix' | 'contains' | 'regex' = 'exact'): SanMatch {
  return { type: 'uri', match: { kind, value, ignoreCase: false } };
}

export function validationContext(changes: Partial<ValidationContext> = {}): ValidationContext {
  return {
    trustedCa: undefined,
    watchedDirectory: undefined,
    sanMatches: [],
    certificateHashes: [],
    spkiHashes: [],
    crl: undefined,
    onlyLeafCrl: false,
    allowExpired: false,
    trustChain: 'verify',
    maxVerifyDepth: undefined,
    spiffe: undefined,
    ...changes,
  };
}

/** Certificates and trust by SDS, under the names given. */
export function parameters(
  changes: Partial<TlsParameters> = {},
  certificate = 'default',
  trust = 'ROOTCA',
): TlsParameters {
  return {
    minVersion: undefined,
    maxVersion: undefined,
    cipherSuites: [],
    ecdhCurves: [],
    signatureAlgorithms: [],
    alpnProtocols: [],
    certificates: [{ kind: 'sds', name: certificate, source: ADS }],
    validation: { kind: 'sds', name: trust, source: ADS, defaults: undefined },
    keyLog: undefined,
    ...changes,
  };
}

export function downstreamTls(changes: Partial<DownstreamTls> = {}, common = parameters()): DownstreamTls {
  return {
    common,
    requireClientCertificate: true,
    sessionTickets: true,
    sessionTimeoutMs: undefined,
    sessionIds: true,
    requireSni: false,
    ocspStaplePolicy: 'lenient',
    anyCertificateForUnknownNames: false,
    ...changes,
  };
}

export function upstreamTls(changes: Partial<UpstreamTls> = {}, common = parameters()): UpstreamTls {
  return {
    common,
    sni: undefined,
    autoHostSni: false,
    autoSniSanValidation: false,
    allowRenegotiation: false,
    enforceRsaKeyUsage: false,
    maxSessionKeys: 1,
    ...changes,
  };
}

/** What an inspector saw; without extensions that the test does not name. */
export function helloOf(said: Partial<ClientHello>): ClientHello {
  return { serverName: '', alpn: [], cipherSuites: Buffer.alloc(0), extension: () => undefined, ...said };
}

let generation = 0;

export function putCertificate(table: SecretTable, leaf: IssuedLeaf, name = 'default'): void {
  generation++;
  table.set(secretKey({ kind: 'sds', name, source: ADS }), {
    kind: 'certificate',
    generation,
    certificate: { chain: leaf.chain, key: leaf.key, password: undefined, ocspStaple: undefined },
  });
}

export function putTrust(
  table: SecretTable,
  trustedCa: string | undefined,
  rules: Partial<ValidationContext> = {},
  name = 'ROOTCA',
): void {
  generation++;
  const { trustedCa: _, crl: __, watchedDirectory: ___, ...rest } = validationContext(rules);
  table.set(validationKey({ kind: 'sds', name, source: ADS, defaults: undefined }), {
    kind: 'trust',
    generation,
    trust: { trustedCa, crl: undefined },
    rules: rest,
  });
}

/** Statistics in a map, by full name. */
export class FakeStats implements StatsStore {
  readonly values = new Map<string, number>();
  readonly recorded = new Map<string, number[]>();

  get(name: string): number {
    return this.values.get(name) ?? 0;
  }

  block(prefix: string, family: StatFamily): StatBlock {
    const stats = family.names.map((name) => this.counter(prefix + name));
    const at = (index: number) => {
      const stat = stats[index];
      if (stat === undefined) throw new Error(`no statistic ${index} below ${prefix}`);
      return stat;
    };
    return {
      inc: (index) => at(index).inc(),
      add: (index, amount) => at(index).add(amount),
      set: (index, value) => at(index).set(value),
      get: (index) => at(index).get(),
      release: () => {
        for (const name of family.names) this.values.delete(prefix + name);
      },
    };
  }

  counter(name: string): Stat {
    return {
      inc: () => this.values.set(name, this.get(name) + 1),
      add: (amount) => this.values.set(name, this.get(name) + amount),
      set: (value) => this.values.set(name, value),
      get: () => this.get(name),
    };
  }

  gauge(name: string): Stat {
    return this.counter(name);
  }

  histogram(name: string): { record(value: number): void } {
    return { record: (value) => this.recorded.set(name, [...(this.recorded.get(name) ?? []), value]) };
  }
}
