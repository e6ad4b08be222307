/**
 * Interned field names: from the raw spelling in a head to one lower-case string, without making a string on the way.
 * Interned names make HeaderMap's searches pointer comparisons. The table is bounded and open-addressed with a probe of
 * four, so names made to collide cost a string each and nothing more.
 */

/** What a codec does with a field beyond passing it on. */
export const FieldKind = {
  Ordinary: 0,
  Host: 1,
  ContentLength: 2,
  TransferEncoding: 3,
  Connection: 4,
  /** `keep-alive`, `proxy-connection`, `http2-settings`: of this hop, dropped. */
  HopByHop: 5,
  Upgrade: 6,
  Te: 7,
  Underscore: 8,
} as const;

const SLOTS = 2048;
const PROBE = 4;
const LONGEST = 64;

/** For each byte: its lower-case code where a token may hold it (RFC 9110 §5.6.2), otherwise 0. */
export const TOKEN = new Uint8Array(256);
for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") TOKEN[c.charCodeAt(0)] = c.charCodeAt(0);
for (let c = 65; c <= 90; c++) TOKEN[c] = c + 32;

const names: string[] = new Array<string>(SLOTS + PROBE).fill('');
const kinds = new Uint8Array(SLOTS + PROBE);
const hashes = new Int32Array(SLOTS + PROBE);
const pinned = new Uint8Array(SLOTS + PROBE);

/** Set by `readName`: the name, what it means, and where its colon stands. */
export const read = { name: '', kind: 0, colon: 0 };

/**
 * Reads the field name that starts at `at` of `text` (latin1) and ends before a colon. False when there is no such name.
 */
export function readName(text: string, at: number, end: number): boolean {
  let hash = 0;
  let i = at;
  for (; i < end; i++) {
    const lower = TOKEN[text.charCodeAt(i)] as number;
    if (lower === 0) break;
    hash = (Math.imul(hash, 31) + lower) | 0;
  }
  if (i === at || i >= end || text.charCodeAt(i) !== 58) return false;
  read.colon = i;
  const length = i - at;
  const slot = (hash ^ (hash >>> 11)) & (SLOTS - 1);
  for (let s = slot; s < slot + PROBE; s++) {
    if (hashes[s] !== hash) continue;
    const name = names[s] as string;
    if (name.length === length && sameName(text, at, name)) {
      read.name = name;
      read.kind = kinds[s] as number;
      return true;
    }
  }
  const name = text.slice(at, i).toLowerCase();
  if (length <= LONGEST) store(slot, hash, name);
  read.name = name;
  read.kind = kindOf(name);
  return true;
}

function sameName(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    if (TOKEN[text.charCodeAt(at + i)] !== name.charCodeAt(i)) return false;
  }
  return true;
}

function store(slot: number, hash: number, name: string): void {
  for (let s = slot; s < slot + PROBE; s++) {
    if (names[s] !== '' && (s < slot + PROBE - 1 || pinned[s] === 1)) continue;
    names[s] = internal(name);
    hashes[s] = hash;
    kinds[s] = kindOf(name);
    return;
  }
}

/** The engine's own internalised string, so that equality is a pointer comparison: a property key is always one. */
function internal(name: string): string {
  return Object.keys({ [name]: 0 })[0] ?? name;
}

function kindOf(name: string): number {
  switch (name) {
    case 'host':
      return FieldKind.Host;
    case 'content-length':
      return FieldKind.ContentLength;
    case 'transfer-encoding':
      return FieldKind.TransferEncoding;
    case 'connection':
      return FieldKind.Connection;
    case 'keep-alive':
    case 'proxy-connection':
    case 'http2-settings':
      return FieldKind.HopByHop;
    case 'upgrade':
      return FieldKind.Upgrade;
    case 'te':
      return FieldKind.Te;
    default:
      return name.includes('_') ? FieldKind.Underscore : FieldKind.Ordinary;
  }
}

/** Names that are there from the start and are never evicted. */
const WELL_KNOWN =
  'host content-length transfer-encoding connection keep-alive proxy-connection http2-settings upgrade te accept ' +
  'accept-encoding accept-language authorization cache-control content-encoding content-type cookie date etag expect ' +
  'expires forwarded idempotency-key if-match if-none-match last-modified location origin pragma referer retry-after ' +
  'server set-cookie strict-transport-security traceparent tracestate baggage trailer user-agent vary via ' +
  'x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-envoy-attempt-count x-envoy-decorator-operation ' +
  'x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-internal x-envoy-max-retries ' +
  'x-envoy-original-path x-envoy-peer-metadata x-envoy-peer-metadata-id x-envoy-retry-on ' +
  'x-envoy-upstream-rq-timeout-ms x-envoy-upstream-service-time x-forwarded-client-cert x-forwarded-for ' +
  'x-forwarded-host x-forwarded-port x-forwarded-proto x-request-id grpc-status grpc-message grpc-timeout';
for (const name of WELL_KNOWN.split(' ')) readName(`${name}:`, 0, name.length + 1);
for (let s = 0; s < names.length; s++) if (names[s] !== '') pinned[s] = 1;
