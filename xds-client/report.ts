/** Tells what a response did, in the events that Envoy counts. */
import type { XdsEvent } from './events.ts';
import { nackMessage } from './nack.ts';
import { RESOURCE_TYPES, type Resource, type ResourceKind } from './resource-types.ts';
import type { Received } from './subscription.ts';
import type { DiscoveryResponse } from './wire.ts';

export interface Reporting {
  readonly source: string;
  readonly now: number;
  readonly happened: (event: XdsEvent) => void;
}

/** `wildcard`: the kind is one subscription (LDS, CDS); otherwise each name is one. */
export function reportReceived(
  kind: ResourceKind,
  wildcard: boolean,
  response: DiscoveryResponse,
  received: Received<Resource>,
  { source, now: at, happened }: Reporting,
): void {
  const { version, typeUrl, nonce } = response;
  const refused = new Set(received.errors.map(({ resource }) => resource));
  if (wildcard) {
    const changed = received.changed.length > 0 || received.removed.length > 0;
    if (refused.size > 0) happened({ type: 'rejected', kind, name: undefined });
    else happened({ type: 'success', kind, name: undefined, version, at, changed });
    happened({ type: 'attempt', kind, name: undefined });
  } else {
    const names = received.changed.map((held) => held.name);
    for (const [index, name] of [...names, ...received.confirmed].entries()) {
      happened({ type: 'success', kind, name, version, at, changed: index < names.length });
      happened({ type: 'attempt', kind, name });
    }
    for (const name of refused) {
      happened({ type: 'rejected', kind, name });
      happened({ type: 'attempt', kind, name });
    }
  }
  for (const { name, unsupported } of received.changed) {
    if (unsupported.length > 0) happened({ type: 'unsupported', kind, name, fields: unsupported });
  }
  if (received.errors.length === 0) {
    happened({ type: 'ack', source, kind, version });
  } else {
    const message = nackMessage(RESOURCE_TYPES[kind].api, received.errors);
    happened({ type: 'nack', source, kind, typeUrl, version, nonce, errors: received.errors, message });
  }
}
