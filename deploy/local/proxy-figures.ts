/** What the proxies say of themselves, read from their admin pages. */
import type { Pod } from './istio/mesh.ts';
import type { MeshRun } from './mesh-run.ts';
import { podKey } from './pods.ts';

interface CertificateJson {
  readonly certificates?: readonly {
    readonly cert_chain?: readonly { readonly valid_from?: string; readonly serial_number?: string }[];
  }[];
}

/** Certificate age and rotations over all proxies. */
export class ProxyFigures {
  /** Seconds since the oldest certificate in use was issued. */
  certificateAgeS: number | undefined;
  /** Changes of a proxy's own certificate seen so far. */
  rotations = 0;
  private readonly serials = new Map<string, string>();
  private readonly run: MeshRun;

  constructor(run: MeshRun) {
    this.run = run;
  }

  async refresh(): Promise<void> {
    const ages = await Promise.all(this.run.runningPods.map((pod) => this.read(pod)));
    const known = ages.filter((age) => age !== undefined);
    this.certificateAgeS = known.length === 0 ? undefined : Math.max(...known);
  }

  private async read(pod: Pod): Promise<number | undefined> {
    try {
      const answer = await fetch(`http://${pod.ip}:${pod.ports.admin}/certs`, { signal: AbortSignal.timeout(900) });
      const { certificates } = (await answer.json()) as CertificateJson;
      const own = certificates?.find((certificate) => (certificate.cert_chain?.length ?? 0) > 0)?.cert_chain?.[0];
      if (own?.serial_number === undefined || own.valid_from === undefined) return undefined;
      const before = this.serials.get(podKey(pod));
      if (before !== undefined && before !== own.serial_number) this.rotations++;
      this.serials.set(podKey(pod), own.serial_number);
      return Math.max(0, Math.round((Date.now() - Date.parse(own.valid_from)) / 1000));
    } catch {
      return undefined;
    }
  }
}
