/** HTTP: a request whose answer's status, and body where asked for, says how the endpoint is. */
import type { HttpProbe, StatusRange } from '../../../xds-client/model/health-check.ts';
import { HeaderMap, type RequestHead } from '../../http/headers.ts';
import { compileStringMatch, type StringTest } from '../../route/string-match.ts';
import {
  BAD_ANSWER,
  type Checker,
  type CheckResult,
  type CheckTarget,
  DEGRADED,
  EXCLUDED,
  RETRIABLE_ANSWER,
  SUCCESS,
  UNREACHABLE,
} from './contract.ts';
import { type Answer, Exchange, type ExchangeOptions } from './exchange.ts';
import { payloadBytes, payloadMatches } from './payload.ts';
import { changeHeaders, USER_AGENT } from './request-headers.ts';

/** What is kept of a body, however much the configuration asks for. */
const MAX_BODY_BYTES = 1 << 20;

export class HttpChecker implements Checker {
  private readonly probe: HttpProbe;
  private readonly target: CheckTarget;
  private readonly exchange: Exchange;
  private readonly body: Buffer | undefined;
  private readonly receive: readonly Buffer[];
  private readonly serviceName: StringTest | undefined;

  constructor(probe: HttpProbe, options: Omit<ExchangeOptions, 'http2' | 'bodyBytes'>, target: CheckTarget) {
    this.probe = probe;
    this.target = target;
    this.body = probe.send === undefined ? undefined : payloadBytes(probe.send);
    this.receive = probe.receive.map(payloadBytes);
    this.serviceName = probe.serviceName === undefined ? undefined : compileStringMatch(probe.serviceName);
    const wanted = probe.bufferBytes === 0 ? MAX_BODY_BYTES : Math.min(probe.bufferBytes, MAX_BODY_BYTES);
    const bodyBytes = this.receive.length === 0 ? 0 : wanted;
    this.exchange = new Exchange(
      target,
      { ...options, http2: probe.http2, bodyBytes },
      {
        onAnswer: (answer) => target.report(this.judge(answer)),
        onLost: () => target.report(UNREACHABLE),
      },
    );
  }

  check(): void {
    const { probe, target } = this;
    const headers = new HeaderMap();
    headers.add('user-agent', USER_AGENT);
    if (this.body !== undefined) headers.add('content-length', String(this.body.length));
    changeHeaders(headers, probe.headersToAdd, probe.headersToRemove);
    const head: RequestHead = {
      method: probe.method,
      path: probe.path,
      authority: target.authority(probe.host),
      scheme: target.scheme,
      version: probe.http2 ? 20 : 11,
      protocol: undefined,
      headers,
    };
    this.exchange.send(head, this.body);
  }

  abort(): void {
    this.exchange.drop();
  }

  close(): void {
    this.exchange.drop();
  }

  private judge({ head, body }: Answer): CheckResult {
    const { probe, target } = this;
    const { status, headers } = head;
    if (!within(probe.expectedStatuses, status)) {
      if (headers.has('x-envoy-immediate-health-check-fail')) return EXCLUDED;
      return within(probe.retriableStatuses, status) ? RETRIABLE_ANSWER : BAD_ANSWER;
    }
    if (this.receive.length > 0 && !payloadMatches(this.receive, body)) return BAD_ANSWER;
    if (this.serviceName !== undefined) {
      target.onVerify();
      if (!this.serviceName(headers.get('x-envoy-upstream-healthchecked-cluster') ?? '')) return BAD_ANSWER;
    }
    return headers.has('x-envoy-degraded') ? DEGRADED : SUCCESS;
  }
}

function within(ranges: readonly StatusRange[], status: number): boolean {
  return ranges.some(({ start, end }) => status >= start && status < end);
}
