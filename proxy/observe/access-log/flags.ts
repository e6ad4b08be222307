/**
 * Response flags as Envoy spells them, in Envoy's order: that in which they are set, so that the end of the retries comes
 * before what the last attempt ended with.
 */
import { ResponseFlag } from '../../http/stream-info.ts';

const FLAGS: readonly (readonly [bit: number, short: string, long: string])[] = [
  [ResponseFlag.UpstreamRetryLimitExceeded, 'URX', 'UpstreamRetryLimitExceeded'],
  [ResponseFlag.FailedLocalHealthCheck, 'LH', 'FailedLocalHealthCheck'],
  [ResponseFlag.NoHealthyUpstream, 'UH', 'NoHealthyUpstream'],
  [ResponseFlag.UpstreamRequestTimeout, 'UT', 'UpstreamRequestTimeout'],
  [ResponseFlag.LocalReset, 'LR', 'LocalReset'],
  [ResponseFlag.UpstreamRemoteReset, 'UR', 'UpstreamRemoteReset'],
  [ResponseFlag.UpstreamConnectionFailure, 'UF', 'UpstreamConnectionFailure'],
  [ResponseFlag.UpstreamConnectionTermination, 'UC', 'UpstreamConnectionTermination'],
  [ResponseFlag.UpstreamOverflow, 'UO', 'UpstreamOverflow'],
  [ResponseFlag.NoRouteFound, 'NR', 'NoRouteFound'],
  [ResponseFlag.DelayInjected, 'DI', 'DelayInjected'],
  [ResponseFlag.FaultInjected, 'FI', 'FaultInjected'],
  [ResponseFlag.RateLimited, 'RL', 'RateLimited'],
  [ResponseFlag.UnauthorizedExternalService, 'UAEX', 'UnauthorizedExternalService'],
  [ResponseFlag.RateLimitServiceError, 'RLSE', 'RateLimitServiceError'],
  [ResponseFlag.DownstreamConnectionTermination, 'DC', 'DownstreamConnectionTermination'],
  [ResponseFlag.StreamIdleTimeout, 'SI', 'StreamIdleTimeout'],
  [ResponseFlag.InvalidEnvoyRequestHeaders, 'IH', 'InvalidEnvoyRequestHeaders'],
  [ResponseFlag.DownstreamProtocolError, 'DPE', 'DownstreamProtocolError'],
  [ResponseFlag.UpstreamMaxStreamDurationReached, 'UMSDR', 'UpstreamMaxStreamDurationReached'],
  [ResponseFlag.ResponseFromCacheFilter, 'RFCF', 'ResponseFromCacheFilter'],
  [ResponseFlag.NoFilterConfigFound, 'NFCF', 'NoFilterConfigFound'],
  [ResponseFlag.DurationTimeout, 'DT', 'DurationTimeout'],
  [ResponseFlag.UpstreamProtocolError, 'UPE', 'UpstreamProtocolError'],
  [ResponseFlag.NoClusterFound, 'NC', 'NoClusterFound'],
  [ResponseFlag.OverloadManagerTerminated, 'OM', 'OverloadManagerTerminated'],
  [ResponseFlag.DnsResolutionFailed, 'DF', 'DnsResolutionFailed'],
  [ResponseFlag.DropOverload, 'DO', 'DropOverload'],
  [ResponseFlag.DownstreamRemoteReset, 'DR', 'DownstreamRemoteReset'],
];

/** `URX,UF`; `-` when no flag is set. */
export function flagText(flags: number): string {
  return flags === 0 ? '-' : spell(flags, 1);
}

/** `UpstreamRetryLimitExceeded,UpstreamConnectionFailure`; `-` when no flag is set. */
export function longFlagText(flags: number): string {
  return flags === 0 ? '-' : spell(flags, 2);
}

/** The bits of short names; calls `unknown` with every name that is none. */
export function flagBits(names: readonly string[], unknown: (name: string) => void = () => {}): number {
  let bits = 0;
  for (const name of names) {
    const found = FLAGS.find(([, short]) => short === name);
    if (found === undefined) unknown(name);
    else bits |= found[0];
  }
  return bits;
}

function spell(flags: number, column: 1 | 2): string {
  let text = '';
  for (const flag of FLAGS) {
    if ((flags & flag[0]) !== 0) text += text === '' ? flag[column] : `,${flag[column]}`;
  }
  return text === '' ? '-' : text;
}
