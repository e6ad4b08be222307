/** `settlement.proto` for both of its ends: paths, types, and how messages become bytes. */
import { join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import type { Hop, Payment } from './payments.ts';

export interface SettleReply {
  readonly id: string;
  readonly hops: readonly Hop[];
}

export interface Settled {
  readonly report: string;
  readonly id: string;
}

const SERVICE = 'bank.v1.Settlement';
const root = protobuf.loadSync(join(import.meta.dirname, 'settlement.proto'));

function method<Request extends object, Reply extends object>(
  name: string,
  request: string,
  reply: string,
  responseStream: boolean,
): MethodDefinition<Request, Reply> {
  const [taken, given] = [codec<Request>(request), codec<Reply>(reply)];
  return {
    path: `/${SERVICE}/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: taken.write,
    requestDeserialize: taken.read,
    responseSerialize: given.write,
    responseDeserialize: given.read,
  };
}

function codec<T extends object>(name: string): { write(value: T): Buffer; read(bytes: Buffer): T } {
  const type = root.lookupType(`bank.v1.${name}`);
  return {
    write: (value) => Buffer.from(type.encode(type.fromObject(value)).finish()),
    read: (bytes) => type.toObject(type.decode(bytes), { defaults: true, arrays: true }) as T,
  };
}

export const SETTLE = method<Payment, SettleReply>('Settle', 'SettleRequest', 'SettleReply', false);
export const REPORT = method<object, Settled>('Report', 'ReportRequest', 'Settled', true);
export const SETTLEMENT: ServiceDefinition = { Settle: SETTLE, Report: REPORT };
