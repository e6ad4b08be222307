/**
 * Streams of HTTP/2 that a downstream gives up right after it has opened them. Who does so with every other one asks for
 * work and not for answers; the limits are Envoy's.
 */
import type { StreamInfo } from '../../../http/stream-info.ts';
import type { Runtime } from '../../http/contract.ts';

/** Streams among which a half may be reset at once. */
const STREAMS = 500;
const STREAMS_KEY = 'overload.premature_reset_total_stream_count';
/** Whole seconds: a stream that lived no longer and is reset by its downstream was not meant to be answered. */
const SECONDS = 1;
const SECONDS_KEY = 'overload.premature_reset_min_stream_lifetime_seconds';

export class PrematureResets {
  private readonly runtime: Runtime;
  private ended = 0;
  private premature = 0;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /** A stream is over, whoever ended it. */
  countEnd(): void {
    this.ended++;
  }

  /** The downstream reset a stream. True: too many of them were premature. */
  count(info: StreamInfo): boolean {
    const lived = Math.floor((info.completeAt - info.startedAt) / 1000);
    if (info.response !== undefined || lived > (this.runtime.number(SECONDS_KEY) ?? SECONDS)) return false;
    this.premature++;
    return this.premature * 2 >= Math.max(this.ended, this.runtime.number(STREAMS_KEY) ?? STREAMS);
  }
}
