/** Where the parts of active health checking meet: a checker asks one endpoint one question at a time. */
import type { Socket } from 'node:net';

/** What one check found. */
export type CheckResult =
  | { readonly kind: 'success'; readonly degraded: boolean }
  | {
      readonly kind: 'failure';
      /** `answer`: the endpoint said so. `network`: it could not be reached. `timeout`: it said nothing in time. */
      readonly by: 'answer' | 'network' | 'timeout';
      /** Counts towards the threshold instead of deciding at once. */
      readonly retriable: boolean;
      /** The endpoint asks not to be used at all: it does not count in its priority's health. */
      readonly excluded: boolean;
    };

export const SUCCESS: CheckResult = { kind: 'success', degraded: false };
export const DEGRADED: CheckResult = { kind: 'success', degraded: true };
export const BAD_ANSWER: CheckResult = { kind: 'failure', by: 'answer', retriable: false, excluded: false };
export const RETRIABLE_ANSWER: CheckResult = { kind: 'failure', by: 'answer', retriable: true, excluded: false };
export const EXCLUDED: CheckResult = { kind: 'failure', by: 'answer', retriable: false, excluded: true };
export const UNREACHABLE: CheckResult = { kind: 'failure', by: 'network', retriable: false, excluded: false };
export const TIMED_OUT: CheckResult = { kind: 'failure', by: 'timeout', retriable: false, excluded: false };

/** One endpoint's. Keeps its connection from one check to the next where the configuration says so. */
export interface Checker {
  /** Starts a check; none is under way. */
  check(): void;
  /** Gives the check under way up, with its connection: nothing is reported of it. */
  abort(): void;
  /** The endpoint is checked no more. */
  close(): void;
}

/** The endpoint as a checker sees it. */
export interface CheckTarget {
  /** `:authority`: the endpoint's `health_check_config.hostname`, otherwise `configured`, otherwise the cluster's name. */
  authority(configured: string | undefined): string;
  readonly scheme: 'http' | 'https';
  /** Connects; `alpn` is offered in TLS. */
  dial(alpn: readonly string[], events: DialEvents): Dialed;
  readonly timeoutMs: number;
  readonly reuseConnection: boolean;
  /** The endpoint's answer was held against `service_name_matcher`. */
  readonly onVerify: () => void;
  /** The endpoint broke the protocol. */
  readonly onProtocolError: () => void;
  readonly report: (result: CheckResult) => void;
}

export interface DialEvents {
  /** Connected, and the other side is who it should be. */
  onReady(socket: Socket): void;
  /** The connection is over, or never came about. Called once. */
  onClosed(): void;
}

export interface Dialed {
  /** Its certificates end, or its endpoint is not trusted any more: the next check dials anew. */
  readonly stale: boolean;
  /** Ends the connection; `onClosed` is not called. */
  destroy(): void;
}
