/** gRPC status of a finished request: trailers, then headers (a trailers-only response). */
import { grpcStatusOfHttp } from '../../http/grpc.ts';
import type { StreamInfo } from '../../http/stream-info.ts';

const NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

/** What Envoy says of a status that is no number. */
const NO_STATUS = -1;

export function isGrpcRequest(info: StreamInfo): boolean {
  const type = info.request.headers.get('content-type');
  return type !== undefined && /^application\/grpc(?:\+|$)/.test(type);
}

/** The status; for a response without one, what gRPC makes of the HTTP status. `undefined`: no response. */
export function grpcStatusOf(info: StreamInfo): number | undefined {
  const text = info.responseTrailers?.get('grpc-status') ?? info.response?.headers.get('grpc-status');
  if (text !== undefined) return /^\d{1,9}$/.test(text) ? Number(text) : NO_STATUS;
  return info.response === undefined ? undefined : grpcStatusOfHttp(info.response.status);
}

/** `NotFound` or `NOT_FOUND`; a number that gRPC does not know stays a number. */
export function grpcStatusText(status: number, form: 'CAMEL_STRING' | 'SNAKE_STRING'): string {
  const name = NAMES[status];
  if (name === undefined) return String(status);
  if (form === 'CAMEL_STRING' || name === 'OK') return name;
  return name === 'Canceled' ? 'CANCELLED' : name.replace(/(?<=[a-z])[A-Z]/g, '_$&').toUpperCase();
}
