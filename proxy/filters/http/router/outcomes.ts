/** What a reset becomes for the downstream: status, body, details and flag, in Envoy's words. */
import type { ResetReason } from '../../../http/stream.ts';
import { ResponseFlag } from '../../../http/stream-info.ts';

const WORDS: { readonly [reason in ResetReason]: string } = {
  'remote-reset': 'remote reset',
  'remote-refused': 'remote refused stream reset',
  'local-reset': 'local reset',
  'local-refused': 'local refused stream reset',
  'connection-termination': 'connection termination',
  'connection-failure': 'remote connection failure',
  'connection-timeout': 'connection timeout',
  'protocol-error': 'protocol error',
  overflow: 'overflow',
};

const FLAGS: { readonly [reason in ResetReason]: number } = {
  'remote-reset': ResponseFlag.UpstreamRemoteReset,
  'remote-refused': ResponseFlag.UpstreamRemoteReset,
  'local-reset': ResponseFlag.LocalReset,
  'local-refused': ResponseFlag.LocalReset,
  'connection-termination': ResponseFlag.UpstreamConnectionTermination,
  'connection-failure': ResponseFlag.UpstreamConnectionFailure,
  'connection-timeout': ResponseFlag.UpstreamConnectionFailure,
  'protocol-error': ResponseFlag.UpstreamProtocolError,
  overflow: ResponseFlag.UpstreamOverflow,
};

/** The response flag of a reset. */
export function flagOfReset(reason: ResetReason): number {
  return FLAGS[reason];
}

/** 502 where the upstream broke the protocol, 503 for every other reset. */
export function statusOfReset(reason: ResetReason): number {
  return reason === 'protocol-error' ? 502 : 503;
}

/** `retried`: it was not the first attempt. */
export function bodyOfReset(reason: ResetReason, retried: boolean): string {
  const which = retried ? 'retried and the latest reset reason' : 'reset reason';
  return `upstream connect error or disconnect/reset before headers. ${which}: ${WORDS[reason]}`;
}

/** `upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}` */
export function detailsOfReset(reason: ResetReason, responseStarted: boolean, transport: string | undefined): string {
  const when = responseStarted ? 'after' : 'before';
  const why = transport === undefined ? WORDS[reason] : `${WORDS[reason]}|${transport}`;
  return `upstream_reset_${when}_response_started{${underscored(why)}}`;
}

/** Details stand in space-separated log lines. */
export function underscored(text: string): string {
  return text.replaceAll(/\s/g, '_');
}

export const Body = {
  noHealthyUpstream: 'no healthy upstream',
  requestTimeout: 'upstream request timeout',
  maxDuration: 'upstream max stream duration reached',
} as const;

export const Details = {
  routeNotFound: 'route_not_found',
  clusterNotFound: 'cluster_not_found',
  directResponse: 'direct_response',
  strictCheck: 'request_headers_failed_strict_check',
  noHealthyUpstream: 'no_healthy_upstream',
  responseTimeout: 'response_timeout',
  perTryTimeout: 'upstream_per_try_timeout',
  maxDuration: 'upstream_max_stream_duration_reached',
  perTryIdleTimeout: 'upstream_per_try_idle_timeout',
  viaUpstream: 'via_upstream',
} as const;
