/** What a probe sends and what it wants to see (envoy HealthCheck.Payload, decoded to base64). */

/** Bytes of a payload. */
export function payloadBytes(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}

/** True when every segment is in `data`, in order and without overlap; what lies between them does not matter. */
export function payloadMatches(segments: readonly Buffer[], data: Buffer): boolean {
  let at = 0;
  for (const segment of segments) {
    const found = data.indexOf(segment, at);
    if (found < 0) return false;
    at = found + segment.length;
  }
  return true;
}
