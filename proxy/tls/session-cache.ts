/** TLS sessions towards one cluster, newest last. A generation's sessions are forgotten when the next begins. */
import type { X509Certificate } from 'node:crypto';

export interface KeptSession {
  readonly session: Buffer;
  /** TLS 1.3 tickets are used once (RFC 8446 §C.4), TLS 1.2 sessions stay. */
  readonly singleUse: boolean;
  /** Of the handshake that began the session: Node forgets it on the client's side of a resumed one. */
  readonly certificate: X509Certificate | undefined;
}

/** Server names are the configuration's or the clients' (auto_sni), so their number is bounded. */
const MAX_NAMES = 256;

export class SessionCache {
  readonly #perName: number;
  readonly #byName = new Map<string, KeptSession[]>();
  #generation = 0;

  /** `perName`: Envoy's `max_session_keys`, 0 keeps none. */
  constructor(perName: number) {
    this.#perName = perName;
  }

  /** The newest session for the name. */
  take(generation: number, name: string): KeptSession | undefined {
    if (generation !== this.#generation) return undefined;
    const kept = this.#byName.get(name);
    const newest = kept?.at(-1);
    if (newest?.singleUse === true) kept?.pop();
    return newest;
  }

  /** Sessions of an older generation are dropped: their tickets were made under other trust. */
  put(generation: number, name: string, session: KeptSession): void {
    if (this.#perName === 0 || generation < this.#generation) return;
    if (generation > this.#generation) {
      this.#generation = generation;
      this.#byName.clear();
    }
    let kept = this.#byName.get(name);
    if (kept === undefined) {
      if (this.#byName.size >= MAX_NAMES) this.#byName.clear();
      kept = [];
      this.#byName.set(name, kept);
    }
    if (!session.singleUse) kept.length = 0;
    kept.push(session);
    if (kept.length > this.#perName) kept.shift();
  }
}
