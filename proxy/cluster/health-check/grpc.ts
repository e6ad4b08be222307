/** gRPC: `grpc.health.v1.Health/Check`, the gRPC project's health checking protocol. */
import type { GrpcProbe } from '../../../xds-client/model/health-check.ts';
import { HeaderMap, type RequestHead } from '../../http/headers.ts';
import { BAD_ANSWER, type Checker, type CheckResult, type CheckTarget, SUCCESS, UNREACHABLE } from './contract.ts';
import { type Answer, Exchange, type ExchangeOptions } from './exchange.ts';
import { changeHeaders, USER_AGENT } from './request-headers.ts';

const PATH = '/grpc.health.v1.Health/Check';
/** A HealthCheckResponse is two bytes; a larger one holds fields that we do not know. */
const MAX_ANSWER_BYTES = 64 * 1024;
const SERVING = 1;

export class GrpcChecker implements Checker {
  private readonly probe: GrpcProbe;
  private readonly target: CheckTarget;
  private readonly exchange: Exchange;
  private readonly message: Buffer;

  constructor(probe: GrpcProbe, options: Omit<ExchangeOptions, 'http2' | 'bodyBytes'>, target: CheckTarget) {
    this.probe = probe;
    this.target = target;
    this.message = requestMessage(probe.service);
    this.exchange = new Exchange(
      target,
      { ...options, http2: true, bodyBytes: MAX_ANSWER_BYTES },
      {
        onAnswer: (answer) => target.report(judge(answer)),
        onLost: () => target.report(UNREACHABLE),
      },
    );
  }

  check(): void {
    const { probe, target } = this;
    const headers = new HeaderMap();
    headers.add('te', 'trailers');
    headers.add('content-type', 'application/grpc');
    headers.add('user-agent', USER_AGENT);
    changeHeaders(headers, probe.metadata, []);
    headers.add('grpc-timeout', grpcTimeout(target.timeoutMs));
    const head: RequestHead = {
      method: 'POST',
      path: PATH,
      authority: target.authority(probe.authority),
      scheme: target.scheme,
      version: 20,
      protocol: undefined,
      headers,
    };
    this.exchange.send(head, this.message);
  }

  abort(): void {
    this.exchange.drop();
  }

  close(): void {
    this.exchange.drop();
  }
}

/** Eight digits are all that the protocol allows: longer timeouts are said in seconds. */
function grpcTimeout(ms: number): string {
  const whole = Math.ceil(ms);
  return whole < 100_000_000 ? `${whole}m` : `${Math.min(Math.ceil(ms / 1000), 99_999_999)}S`;
}

function judge({ head, body, trailers }: Answer): CheckResult {
  const status = trailers?.get('grpc-status') ?? head.headers.get('grpc-status');
  if (head.status !== 200 || status !== '0') return BAD_ANSWER;
  const type = head.headers.get('content-type') ?? '';
  if (!/^application\/grpc(?:[+;]|$)/.test(type)) return BAD_ANSWER;
  return servingStatus(body) === SERVING ? SUCCESS : BAD_ANSWER;
}

/** A length-prefixed HealthCheckRequest: `service` is field 1, left out when it is empty. */
export function requestMessage(service: string): Buffer {
  const name = Buffer.from(service);
  const field = name.length === 0 ? [] : [Buffer.from([0x0a, ...varint(name.length)]), name];
  const message = Buffer.concat(field);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The status of the one HealthCheckResponse in a gRPC body; 0 (UNKNOWN) when it holds none, `undefined` when it is none. */
export function servingStatus(body: Buffer): number | undefined {
  // Compressed messages were not asked for.
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) return undefined;
  let status = 0;
  for (let at = 5; at < body.length; ) {
    const tag = readVarint(body, at);
    if (tag === undefined) return undefined;
    const value = readVarint(body, tag.next);
    if (value === undefined) return undefined;
    at = value.next;
    const wireType = tag.value & 7;
    if (tag.value === 8) status = value.value;
    else if (wireType === 2) at += value.value;
    else if (wireType === 1) at = tag.next + 8;
    else if (wireType === 5) at = tag.next + 4;
    else if (wireType !== 0) return undefined;
    if (at > body.length) return undefined;
  }
  return status;
}

function varint(number: number): number[] {
  const bytes: number[] = [];
  let left = number;
  while (left > 127) {
    bytes.push((left & 127) | 128);
    left >>>= 7;
  }
  bytes.push(left);
  return bytes;
}

function readVarint(bytes: Buffer, start: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let at = start; at < bytes.length && at < start + 10; at++) {
    const byte = bytes[at] as number;
    value += (byte & 127) * 2 ** (7 * (at - start));
    if (byte < 128) return { value, next: at + 1 };
  }
  return undefined;
}
