/** Which messages are gRPC's. */

const TYPE = 'application/grpc';

/** A `content-type` of `application/grpc`, alone or with a `+suffix`, as Envoy has it; gRPC-Web has a type of its own. */
export function isGrpcType(type: string | undefined): boolean {
  if (type === undefined || !type.startsWith(TYPE)) return false;
  return type.length === TYPE.length || type.charCodeAt(TYPE.length) === 43;
}
