/**
 * The SPIFFE Workload API as a source: `FetchX509SVID` for the workload's certificates, `FetchX509Bundles` for whom to trust,
 * both streams that stay open. Servers renew by themselves; one that has fallen silent is asked anew. Loads gRPC.
 */
import { encodeMessage } from '../../protos/index.ts';
import type { CertificateClock } from '../clock.ts';
import { lifeUsed, lifeUsedAt, retryIn, type Validity } from '../rotation.ts';
import type { IdentityListener, IdentitySource, TrustBundle } from './contract.ts';
import { ReopenedStream } from './reopened-stream.ts';
import { type Bundles, readBundles, readSvids, type SvidResponse } from './spiffe-response.ts';

export interface WorkloadApiOptions {
  /** `unix:///run/spire/agent.sock`, `tcp://127.0.0.1:8081` (SPIFFE Workload Endpoint §4). */
  readonly socket: string;
  readonly clock: CertificateClock;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Servers refuse calls without it: a browser or a curl that is led astray cannot send it. */
const HEADERS = [['workload.spiffe.io', 'true']] as const;
const UNIMPLEMENTED = 12;
/** Of its life; a server should have sent another long before. */
const SILENT_SHARE = 0.75;
const SILENCE_LOOK_MS = 60_000;
const MAX_DETAILS = 200;

export class WorkloadApi implements IdentitySource {
  readonly #clock: CertificateClock;
  readonly #random: () => number;
  readonly #socket: string;
  readonly #svids: ReopenedStream;
  readonly #trust: ReopenedStream;
  #listener: IdentityListener | undefined;
  #response: SvidResponse | undefined;
  /** The newest word of either stream. */
  #bundles: Bundles = new Map();
  #crl: string | undefined;
  #cancelLook: () => void = () => {};

  /** Throws when the socket is none. */
  constructor({ socket, clock, random }: WorkloadApiOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#socket = socket;
    const target = targetOf(socket);
    const common = { target, headers: HEADERS, clock };
    this.#svids = new ReopenedStream({
      ...common,
      method: '/SpiffeWorkloadAPI/FetchX509SVID',
      request: encodeMessage('X509SVIDRequest', {}),
      onMessage: (bytes) => this.#checked(() => this.#takeSvids(readSvids(bytes, clock.now()))),
      onEnd: (code, details, failures) => this.#ended('FetchX509SVID', code, details, failures),
    });
    this.#trust = new ReopenedStream({
      ...common,
      method: '/SpiffeWorkloadAPI/FetchX509Bundles',
      request: encodeMessage('X509BundlesRequest', {}),
      onMessage: (bytes) => this.#checked(() => this.#takeBundles(readBundles(bytes))),
      // the other stream has bundles too
      onEnd: (code, details, failures) =>
        code === UNIMPLEMENTED ? undefined : this.#ended('FetchX509Bundles', code, details, failures),
    });
  }

  start(listener: IdentityListener): void {
    this.#listener = listener;
    this.#svids.open();
    this.#trust.open();
  }

  close(): void {
    this.#listener = undefined;
    this.#cancelLook();
    this.#svids.close();
    this.#trust.close();
  }

  #takeSvids(response: SvidResponse): void {
    this.#response = response;
    this.#bundles = response.bundles;
    this.#crl = response.crl;
    this.#tell();
    this.#lookForSilence();
  }

  #takeBundles({ bundles, crl }: { readonly bundles: Bundles; readonly crl: string | undefined }): void {
    this.#bundles = bundles;
    this.#crl = crl;
    this.#tell();
  }

  /** Not before the first SVID says which bundle is our own. */
  #tell(): void {
    const response = this.#response;
    if (response === undefined) return;
    const { certificates, trustDomain } = response;
    const own = this.#bundles.get(trustDomain) ?? response.bundles.get(trustDomain) ?? '';
    const others = [...this.#bundles].filter(([domain]) => domain !== trustDomain);
    const bundles: TrustBundle[] = [{ trustDomain, pem: own }];
    for (const [domain, pem] of others) bundles.push({ trustDomain: domain, pem });
    this.#listener?.updated({ certificates, bundles, crl: this.#crl });
  }

  #checked(take: () => void): void {
    try {
      take();
    } catch (error) {
      // whatever it is: what came last stays good
      const reason = error instanceof Error ? error.message : String(error);
      this.#listener?.problem({ kind: 'refused', reason, retryInMs: undefined });
    }
  }

  #ended(method: string, code: number, details: string, failures: number): number {
    const retryInMs = retryIn(this.#validity(), this.#clock.now(), failures, this.#random());
    const clipped = details.length > MAX_DETAILS ? `${details.slice(0, MAX_DETAILS)}...` : details;
    const reason = `${this.#socket} ended ${method} with ${code}: ${clipped}`;
    this.#listener?.problem({ kind: 'unreachable', reason, retryInMs });
    return retryInMs;
  }

  #validity(): Validity | undefined {
    const all = this.#response?.certificates.map(({ validity }) => validity) ?? [];
    return all.length === 0 ? undefined : all.reduce((a, b) => (b.notAfter < a.notAfter ? b : a));
  }

  /** A stream may look open when nobody is there any more. */
  #lookForSilence(): void {
    this.#cancelLook();
    const validity = this.#validity();
    if (validity === undefined) return;
    const now = this.#clock.now();
    const left = lifeUsedAt(validity, validity.notBefore, SILENT_SHARE) - now;
    const pause = left > 0 ? Math.min(left, SILENCE_LOOK_MS) : Math.max(1000, (validity.notAfter - now) / 4);
    this.#cancelLook = this.#clock.after(Math.min(pause, SILENCE_LOOK_MS), () => {
      if (lifeUsed(validity, validity.notBefore, this.#clock.now()) >= SILENT_SHARE) this.#svids.reopen();
      this.#lookForSilence();
    });
  }
}

/** A path is absolute and a TCP address an IP: neither is looked up. */
function targetOf(socket: string): string {
  const path = /^unix:(?:\/\/)?(\/.+)$/.exec(socket)?.[1];
  if (path !== undefined) return `unix:${path}`;
  const address = /^tcp:\/\/([\d.]+:\d+|\[[\da-f:]+\]:\d+)$/i.exec(socket)?.[1];
  if (address !== undefined) return address;
  throw new Error(`"${socket}" is neither unix:///path nor tcp://address:port`);
}
