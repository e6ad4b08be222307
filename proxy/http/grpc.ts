/** How answers that are no gRPC ones are told to gRPC clients. */

/** doc/http-grpc-status-mapping.md of gRPC, as Envoy maps local replies. */
export function grpcStatusOfHttp(status: number): number {
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

/** Bytes as the value of `grpc-message`: printable ASCII stays but for `%` and, as in Envoy, `~`. */
export function grpcMessage(bytes: Buffer): string {
  let out = '';
  for (const byte of bytes) {
    out +=
      byte >= 0x20 && byte < 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}
