/**
 * The order of a start, Envoy's: the first clusters come and warm, then listeners are asked for and warm, then LIVE. A wait
 * ends when its answer is there or when initial_fetch_timeout is over; 0 waits for ever, be it of CDS or LDS or of what
 * one of their resources asks for. Pure.
 */
import type { ResourceKind } from './resource-types.ts';
import { DEFAULT_FETCH_TIMEOUT_MS } from './wants.ts';

/** `clusters`: waiting for CDS and what it brings. `listeners`: the same of LDS. `live`: the start is over. */
type Phase = 'clusters' | 'listeners' | 'live';

export class Startup {
  /** `undefined`: there is no such source, nothing to wait for. */
  private readonly cdsTimeoutMs: number | undefined;
  private readonly ldsTimeoutMs: number | undefined;
  private phase: Phase = 'clusters';
  private phaseEnds = Number.POSITIVE_INFINITY;
  /** Something warms that may take any time. */
  private patient = false;
  private readonly answers = new Set<ResourceKind>();

  constructor(cdsTimeoutMs: number | undefined, ldsTimeoutMs: number | undefined) {
    this.cdsTimeoutMs = cdsTimeoutMs;
    this.ldsTimeoutMs = ldsTimeoutMs;
  }

  begin(now: number): void {
    this.phaseEnds = endOf(this.cdsTimeoutMs, now);
  }

  /** The kind was answered, well or badly. What the first answer brings has its own time to warm. */
  answered(kind: ResourceKind, now: number): void {
    if (this.answers.has(kind)) return;
    this.answers.add(kind);
    if (kind === 'cluster' && this.phase === 'clusters') this.phaseEnds = endOf(this.cdsTimeoutMs, now);
    if (kind === 'listener' && this.phase === 'listeners') this.phaseEnds = endOf(this.ldsTimeoutMs, now);
  }

  wantsListeners(): boolean {
    return this.phase !== 'clusters';
  }

  isLive(): boolean {
    return this.phase === 'live';
  }

  /** `warm`: no cluster is warming. `patient`: one of them waits without limit. */
  clustersSettled(warm: boolean, patient: boolean, now: number): void {
    if (this.phase !== 'clusters') return;
    this.patient = patient;
    const complete = warm && (this.cdsTimeoutMs === undefined || this.answers.has('cluster'));
    if (!complete && (patient || now < this.phaseEnds)) return;
    this.phase = 'listeners';
    this.phaseEnds = endOf(this.ldsTimeoutMs, now);
  }

  /** True once: the start is over. */
  listenersSettled(warm: boolean, patient: boolean, now: number): boolean {
    if (this.phase !== 'listeners') return false;
    this.patient = patient;
    const complete = warm && (this.ldsTimeoutMs === undefined || this.answers.has('listener'));
    if (!complete && (patient || now < this.phaseEnds)) return false;
    this.phase = 'live';
    return true;
  }

  deadline(): number | undefined {
    if (this.phase === 'live' || this.patient || this.phaseEnds === Number.POSITIVE_INFINITY) return undefined;
    return this.phaseEnds;
  }
}

/** Without a source the bootstrap's own resources still warm, and not for ever. */
function endOf(timeoutMs: number | undefined, now: number): number {
  return timeoutMs === 0 ? Number.POSITIVE_INFINITY : now + (timeoutMs ?? DEFAULT_FETCH_TIMEOUT_MS);
}
