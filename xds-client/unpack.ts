/** A response's resources by name: unwrapped, checked for type and for names that come twice. Nothing is decoded. */
import type { Any } from '../protos/index.ts';
import type { ResourceError } from './nack.ts';
import { canonicalName, nameInBytes } from './resource-name.ts';
import { RESOURCE_WRAPPER, type ResourceType } from './resource-types.ts';
import type { DiscoveryResponse, WrappedResource } from './wire.ts';

export interface ReceivedResource {
  /** Canonical. */
  readonly name: string;
  /** `undefined`: a TTL heartbeat. */
  readonly any: Any | undefined;
  /** Of the wrapper, or of the response. */
  readonly version: string;
  readonly ttlMs: number | undefined;
}

export interface Unpacked {
  readonly resources: readonly ReceivedResource[];
  /** Every name in the response, those that come twice (and so are not among `resources`) too. */
  readonly names: ReadonlySet<string>;
  /**
   * The response says which resources there are: the type is sent whole, every name could be read, and it is more than
   * heartbeats. Only then does absence delete.
   */
  readonly complete: boolean;
}

export function unpack(
  response: DiscoveryResponse,
  type: ResourceType,
  unwrap: (bytes: Buffer) => WrappedResource,
  errors: ResourceError[],
): Unpacked {
  const byName = new Map<string, ReceivedResource>();
  const duplicates = new Set<string>();
  let nameless = false;
  for (const [index, any] of response.resources.entries()) {
    const received = read(any, response, type, unwrap);
    if (typeof received === 'string') {
      nameless = true;
      errors.push({ resource: `resources[${index}]`, path: '', message: received });
    } else if (byName.has(received.name)) {
      duplicates.add(received.name);
    } else {
      byName.set(received.name, received);
    }
  }
  const heartbeatsOnly = byName.size > 0 && [...byName.values()].every((resource) => resource.any === undefined);
  const complete = type.fullState && !nameless && !heartbeatsOnly;
  const resources = [...byName.values()].filter((resource) => !duplicates.has(resource.name));
  for (const name of duplicates) {
    // Which one is meant nobody knows: the last good content stays.
    errors.push({ resource: name, path: '', message: 'is in the response more than once' });
  }
  return { resources, names: new Set(byName.keys()), complete };
}

/** The resource, or what is wrong with it. */
function read(
  any: Any,
  response: DiscoveryResponse,
  type: ResourceType,
  unwrap: (bytes: Buffer) => WrappedResource,
): ReceivedResource | string {
  let content: Any | undefined = any;
  let { version } = response;
  let name = '';
  let ttlMs: number | undefined;
  if (any.type_url === RESOURCE_WRAPPER) {
    try {
      // Looked at first: the decoder takes a text that is cut off for a shorter one.
      if (nameInBytes(any.value) === undefined) throw new Error('fields do not fit');
      const wrapped = unwrap(any.value);
      content = wrapped.resource;
      name = wrapped.name;
      ttlMs = wrapped.ttlMs;
      version = wrapped.version === '' ? version : wrapped.version;
    } catch {
      return 'its wrapper is not an envoy.service.discovery.v3.Resource';
    }
  }
  if (content !== undefined) {
    if (content.type_url !== type.typeUrl) return `is of type "${content.type_url}", expected "${type.typeUrl}"`;
    const own = nameInBytes(content.value);
    if (own === undefined) return `its bytes are not a ${type.message}`;
    if (name === '') name = own;
  }
  return name === '' ? 'has no name' : { name: canonicalName(name), any: content, version, ttlMs };
}
