/** gRPC status of a finished request: trailers, then headers (a trailers-only response). */
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
  return info.response === undefined ? undefined : fromHttp(info.response.status);
}

/** `NotFound` or `NOT_FOUND`; a number that gRPC does not know stays a number. */
export function grpcStatusText(status: number, form: 'CAMEL_STRING' | 'SNAKE_STRING'): string {
  const name = NAMES[status];
  if (name === undefined) return String(status);
  if (form === 'CAMEL_STRING' || name === 'OK') return name;
  return name === 'Canceled' ? 'CANCELLED' : name.replace(/(?<=[a-z])[A-Z]/g, '_$&').toUpperCase();
}

/** gRPC's mapping for responses that are not gRPC's (doc/http-grpc-status-mapping.md). */
function fromHttp(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}
