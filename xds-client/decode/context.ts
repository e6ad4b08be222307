/**
 * What every decoder shares: where it is, what it found wrong, and which fields it leaves aside.
 *
 * A decoder turns one proto message (plain object, protos/ gives it) into the model, or collects every error found; it
 * never throws for bad input. "Nothing silent" lives in `support`: each message type a decoder reads declares every
 * field of the proto as acted on, ignored (accepted, warned about, counted at `/unsupported`) or refused (an error).
 * The support table and its completeness test are made from these declarations.
 */

/** A field that cannot stand. `path` is rooted at the resource: `filter_chains[0].filters[1].typed_config.route_config`. */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

/** A field that was accepted and does nothing. */
export interface UnsupportedField {
  /** `envoy.config.cluster.v3.Cluster.dns_jitter` */
  readonly field: string;
  readonly path: string;
  readonly reason: string;
}

/** How one proto message's fields are treated. Every field of the descriptor is named in exactly one of the three. */
export interface Support {
  /** Fully qualified message name, `envoy.config.cluster.v3.Cluster`. */
  readonly message: string;
  readonly acts: readonly string[];
  /** Field to reason. */
  readonly ignored: { readonly [field: string]: string };
  readonly refused: { readonly [field: string]: string };
}

const declared = new Map<string, Support>();

/** Declares a message's support; the decoder passes what it returns to `DecodeContext.check`. */
export function support(
  message: string,
  treatment: {
    readonly acts: readonly string[];
    readonly ignored?: { readonly [field: string]: string };
    readonly refused?: { readonly [field: string]: string };
  },
): Support {
  const made: Support = {
    message,
    acts: treatment.acts,
    ignored: treatment.ignored ?? {},
    refused: treatment.refused ?? {},
  };
  if (declared.has(message)) throw new Error(`support of ${message} is declared twice`);
  declared.set(message, made);
  return made;
}

/** All declarations, by message name: for the support table. */
export function declaredSupport(): ReadonlyMap<string, Support> {
  return declared;
}

/** Collects what decoding one resource finds. */
export class DecodeContext {
  readonly errors: FieldError[] = [];
  readonly unsupported: UnsupportedField[] = [];
  private readonly stack: string[] = [];

  get path(): string {
    return this.stack.join('').replace(/^\./, '');
  }

  /** Runs `body` with the path lengthened by a field name, or by `[i]` for an element. */
  at<T>(segment: string | number, body: () => T): T {
    this.stack.push(typeof segment === 'number' ? `[${segment}]` : `.${segment}`);
    try {
      return body();
    } finally {
      this.stack.pop();
    }
  }

  error(message: string, field?: string): void {
    const path = field === undefined ? this.path : this.path === '' ? field : `${this.path}.${field}`;
    this.errors.push({ path, message });
  }

  /** Notes the message's fields that are set and not acted on. Call it once a message, first. */
  check(message: object, treatment: Support): void {
    for (const field of Object.keys(message)) {
      const value = (message as { [key: string]: unknown })[field];
      if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
      const refused = treatment.refused[field];
      if (refused !== undefined) {
        this.error(`is not supported: ${refused}`, field);
        continue;
      }
      const ignored = treatment.ignored[field];
      if (ignored !== undefined) {
        this.unsupported.push({
          field: `${treatment.message}.${field}`,
          path: this.path === '' ? field : `${this.path}.${field}`,
          reason: ignored,
        });
      }
    }
  }
}

/** What decoding a resource gives. A resource with an error is refused whole. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T; readonly unsupported: readonly UnsupportedField[] }
  | { readonly ok: false; readonly errors: readonly FieldError[]; readonly unsupported: readonly UnsupportedField[] };
