/** gRPC service definitions whose messages stay bytes. */
import type { ServiceDefinition } from '@grpc/grpc-js';
import { serviceJson } from './descriptors.ts';

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

/** See `serviceDefinition` in loader.ts. */
export function rawService(service: string): ServiceDefinition {
  const json = serviceJson(service);
  if (json === undefined) throw new Error(`no gRPC service is called "${service}"`);
  const definition: { [method: string]: ServiceDefinition[string] } = {};
  for (const [name, method] of Object.entries(json.methods)) {
    definition[name] = {
      path: `/${service}/${name}`,
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
  }
  return definition;
}
