/**
 * Which requests may be sent twice. Methods after RFC 9110 §9.2.1 (safe) and §9.2.2 (idempotent); keys after
 * draft-ietf-httpapi-idempotency-key-header.
 */
import type { Json, Metadata } from '../../xds-client/model/common.ts';
import type { HeaderMap } from '../http/headers.ts';

/** Metadata namespace of a route; `tollway.retry: {idempotency_key: true}` says that its service deduplicates by key. */
export const RETRY_METADATA = 'tollway.retry';

/** True when sending `method` twice has the intended effect of sending it once. Methods are case-sensitive. */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'TRACE':
    case 'PUT':
    case 'DELETE':
      return true;
    default:
      return false;
  }
}

/** Whether a route's metadata lets an `Idempotency-Key` stand for idempotency. Anything but `true` is no. */
export function allowsIdempotencyKey(metadata: Metadata): boolean {
  const settings: { readonly [key: string]: Json } | undefined = metadata[RETRY_METADATA];
  return settings !== undefined && settings.idempotency_key === true;
}

/** Whether the request carries a key that is not empty. An empty one identifies nothing. */
export function hasIdempotencyKey(headers: HeaderMap): boolean {
  const key = headers.get('idempotency-key');
  return key !== undefined && key.trim() !== '' && key !== '""';
}
