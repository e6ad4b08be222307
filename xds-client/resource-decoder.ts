/** Between the subscriptions, which know bytes and names, and the decoders, which know resources. */
import { type Any, decodeMessage } from '../protos/index.ts';
import type { Decoded } from './decode/context.ts';
import { RESOURCE_TYPES, type Resource, type ResourceKind } from './resource-types.ts';
import { SotwSubscription, type Subscription } from './subscription.ts';
import { RESOURCE, readWrapped } from './wire.ts';

/** Decodes the bytes of a resource of the kind, or says all that is wrong with it. Should not throw for bad input. */
export type ResourceDecoder = (kind: ResourceKind, any: Any) => Decoded<Resource>;

export function subscriptionFor(
  kind: ResourceKind,
  decode: ResourceDecoder,
  ignoreDeletion: boolean,
): Subscription<Resource> {
  return new SotwSubscription<Resource>({
    type: RESOURCE_TYPES[kind],
    decode: (any) => decodeSafely(decode, kind, any),
    unwrap: (bytes) => readWrapped(decodeMessage(RESOURCE, bytes)),
    ignoreDeletion,
  });
}

/** A decoder that throws is our fault; the resource is refused all the same, and the stream goes on. */
function decodeSafely(decode: ResourceDecoder, kind: ResourceKind, any: Any): Decoded<Resource> {
  try {
    return decode(kind, any);
  } catch (thrown) {
    const message = `cannot be decoded: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    return { ok: false, errors: [{ path: '', message }], unsupported: [] };
  }
}
