/** gRPC statuses as HTTP ones, as Envoy tells them to whoever watches endpoints (google/rpc/code.proto). */

/** Index is the gRPC status. */
const HTTP: readonly number[] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** Of `grpc-status`'s text; a status that gRPC does not know is the server's fault. */
export function httpStatusOfGrpc(status: string): number {
  return (/^\d{1,2}$/.test(status) ? HTTP[Number(status)] : undefined) ?? 500;
}
