/** Why a request went where it went and ended as it did, as plain JSON: for the span, the log and the admin interface. */
import type { AttemptClass, StreamInfo } from '../http/stream-info.ts';
import { addressText } from '../upstream/contract.ts';
import { flagText } from './access-log/flags.ts';

export interface DecisionRecord {
  readonly listener: string;
  readonly filterChain: string;
  readonly routeConfig: string | undefined;
  readonly virtualHost: string | undefined;
  readonly route: string | undefined;
  readonly cluster: string | undefined;
  readonly endpoint: string | undefined;
  /** 0: no response went out. */
  readonly status: number;
  /** `-` for none. */
  readonly flags: string;
  readonly details: string | undefined;
  readonly transportFailure: string | undefined;
  readonly attemptCount: number;
  /** Those that were noted: every failed one, and all of a traced request. */
  readonly attempts: readonly {
    readonly endpoint: string | undefined;
    readonly class: AttemptClass;
    readonly outcome: string;
    readonly decision: string;
    readonly milliseconds: number;
  }[];
}

/** The record of a finished request. It holds no header and no path: names of the configuration and addresses only. */
export function decisionRecord(info: StreamInfo): DecisionRecord {
  return {
    listener: info.connection.listener.name,
    filterChain: info.connection.chain.name,
    routeConfig: info.routeConfigName === '' ? undefined : info.routeConfigName,
    virtualHost: info.virtualHost?.name,
    route: info.route?.name,
    cluster: info.cluster,
    endpoint: info.endpoint === undefined ? undefined : addressText(info.endpoint.address),
    status: info.response?.status ?? 0,
    flags: flagText(info.flags),
    details: info.responseCodeDetails,
    transportFailure: info.upstreamTransportFailureReason,
    attemptCount: info.attemptCount,
    attempts: (info.attempts ?? []).map((attempt) => ({
      endpoint: attempt.endpoint === undefined ? undefined : addressText(attempt.endpoint.address),
      class: attempt.class,
      outcome: attempt.outcome,
      decision: attempt.decision,
      milliseconds: Math.max(0, attempt.endedAt - attempt.startedAt),
    })),
  };
}
