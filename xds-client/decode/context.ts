/**
 * What every decoder shares: where it is, what it found wrong, and which fields it leaves aside.
 *
 * A decoder turns one proto message (plain object, protos/ gives it) into the model, or collects every error found; it
 * never throws for bad input. "Nothing silent" lives in `support`: each message type a decoder reads declares every
 * field of the proto as acted on, ignored (accepted, warned about, counted at `/unsupported`) or refused (an error).
 * The support table and its completeness test are made from these declarations.
 */

import type { MessageObject } from '../../protos/index.ts';
import type { AccessLog, AccessLogFilter } from '../model/access-log.ts';
import type { Balancing } from '../model/cluster.ts';
import type { Json } from '../model/common.ts';
import type { CompressorLibrary, DecompressorLibrary } from '../model/filters/compression.ts';
import type { HttpConnectionManager, Tracing } from '../model/http-connection-manager.ts';
import type { PathMatch, RedirectPredicate } from '../model/route.ts';
import type { TcpProxy } from '../model/tcp-proxy.ts';
import type { DownstreamTls, SpiffeValidation, TransportSocket, UpstreamTls } from '../model/tls.ts';
import { type DecodeChecks, NO_CHECKS } from './checks.ts';

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

/** Declares a message's support; `inspect` holds every message of the type against it. */
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

/** The kinds of extension, and what a decoder of each gives. */
export interface ExtensionResults {
  readonly 'http-filter': { readonly config: Json; readonly terminal: boolean };
  /** Configuration of an HTTP filter for a route, virtual host or weighted cluster. */
  readonly 'http-filter-route': Json;
  readonly 'network-filter':
    | { readonly kind: 'http-connection-manager'; readonly config: HttpConnectionManager }
    | { readonly kind: 'tcp-proxy'; readonly config: TcpProxy }
    | { readonly kind: 'extension'; readonly config: Json; readonly terminal: boolean };
  readonly 'listener-filter': Json;
  readonly 'access-logger': AccessLog['sink'];
  readonly 'access-log-filter': AccessLogFilter;
  readonly 'downstream-transport-socket': TransportSocket<DownstreamTls>;
  readonly 'upstream-transport-socket': TransportSocket<UpstreamTls>;
  readonly 'load-balancing-policy': Balancing;
  readonly 'upstream-options': MessageObject;
  readonly 'upstream-network-filter': Json;
  readonly 'retry-host-predicate': 'previous-hosts' | 'omit-canary-hosts';
  readonly 'retry-priority': 'previous-priorities';
  readonly 'internal-redirect-predicate': RedirectPredicate;
  readonly tracer: Tracing['provider'];
  readonly 'path-match': PathMatch;
  /** Whether the request id carries the sampling decision. */
  readonly 'request-id': { readonly usedForSampling: boolean };
  readonly 'header-format': 'preserve';
  readonly 'compressor-library': CompressorLibrary;
  readonly 'decompressor-library': DecompressorLibrary;
  readonly 'certificate-validator': SpiffeValidation;
  readonly 'bootstrap-extension': Json;
}

export type ExtensionCategory = keyof ExtensionResults;

/** One extension: decoded and acted on, accepted and left aside, or refused. Reasons are shown to the operator. */
export type Extension<T> = {
  /** As in Envoy's documentation, `envoy.filters.http.router`. */
  readonly name: string;
  /** The configuration's message, `envoy.extensions.filters.http.router.v3.Router`. */
  readonly type: string;
} & (
  | { readonly decode: (message: MessageObject, ctx: DecodeContext) => T }
  | { readonly ignored: string }
  | { readonly refused: string }
);

export type ExtensionTable = { readonly [C in ExtensionCategory]: readonly Extension<ExtensionResults[C]>[] };

/** A hostile resource must not make the report as large as it likes. */
const MAX_ERRORS = 100;
const MAX_UNSUPPORTED = 1000;

/** Collects what decoding one resource finds. */
export class DecodeContext {
  readonly errors: FieldError[] = [];
  readonly unsupported: UnsupportedField[] = [];
  /** The extensions that can be decoded; extensions.ts holds the list. */
  readonly extensions: ExtensionTable;
  /** What the side that uses the resource can tell of it. */
  checks: DecodeChecks;
  private readonly stack: string[] = [];

  constructor(extensions: ExtensionTable, checks: DecodeChecks = NO_CHECKS) {
    this.extensions = extensions;
    this.checks = checks;
  }

  get path(): string {
    return this.stack.join('').replace(/^\./, '');
  }

  /** Runs `body` with the path lengthened by a field name, or by `[i]` for an element. */
  at<T>(segment: string | number, body: () => T): T {
    return this.under(typeof segment === 'number' ? `[${segment}]` : `.${segment}`, body);
  }

  /** The same for a map's key: `typed_per_filter_config["envoy.filters.http.cors"]`. */
  atKey<T>(key: string, body: () => T): T {
    return this.under(`[${JSON.stringify(key)}]`, body);
  }

  private under<T>(segment: string, body: () => T): T {
    this.stack.push(segment);
    try {
      return body();
    } finally {
      this.stack.pop();
    }
  }

  private pathOf(field: string | undefined): string {
    if (field === undefined) return this.path;
    return this.path === '' ? field : `${this.path}.${field}`;
  }

  /** An error where a check has found one. */
  checked(why: string | undefined, field?: string): void {
    if (why !== undefined) this.error(why, field);
  }

  error(message: string, field?: string): void {
    if (this.errors.length < MAX_ERRORS) this.errors.push({ path: this.pathOf(field), message });
  }

  /** Notes something accepted that does nothing; `what` is the field with its message's name, or an extension's type. */
  ignore(what: string, reason: string, field?: string): void {
    if (this.unsupported.length < MAX_UNSUPPORTED) {
      this.unsupported.push({ field: what, path: this.pathOf(field), reason });
    }
  }
}

/** What decoding a resource gives. A resource with an error is refused whole. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T; readonly unsupported: readonly UnsupportedField[] }
  | { readonly ok: false; readonly errors: readonly FieldError[]; readonly unsupported: readonly UnsupportedField[] };
