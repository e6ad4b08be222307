/**
 * The parts that several resources share. Everything under `model/` is plain readonly data that survives
 * `JSON.parse(JSON.stringify(x))`: it is what crosses from the main thread to the workers. An absent value is
 * `undefined`. Durations are milliseconds, sizes are bytes, unless the name says otherwise.
 */

/**
 * Where a socket listens or connects. `pipe` is a UNIX socket path; a leading `@` means the abstract namespace. `ipv4Compat`: a
 * socket that listens on IPv6's any address takes IPv4, too.
 */
export type Address =
  | { readonly kind: 'socket'; readonly host: string; readonly port: number; readonly ipv4Compat?: true }
  /** `mode`: permissions of the file of one that listens; the umask decides where it is absent. */
  | { readonly kind: 'pipe'; readonly path: string; readonly mode?: number };

/** A range of addresses, `prefixLength` 0 matching everything of the family. */
export interface CidrRange {
  readonly address: string;
  readonly prefixLength: number;
}

/** A value of `google.protobuf.Struct`, as JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Resource metadata: filter namespace (`envoy.lb`, `istio`, ...) to its Struct. */
export type Metadata = { readonly [namespace: string]: { readonly [key: string]: Json } };

/** envoy.type.matcher.v3.StringMatcher. `regex` is RE2 syntax and matches the whole value. */
export type StringMatch = (
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'suffix'; readonly value: string }
  | { readonly kind: 'contains'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string }
) & { readonly ignoreCase: boolean };

/** envoy.config.route.v3.HeaderMatcher, with the deprecated forms folded into `string`. */
export interface HeaderMatch {
  /** Lower case; pseudo headers as `:method`, `:path`, `:authority`, `:scheme`. */
  readonly name: string;
  readonly match:
    | { readonly kind: 'string'; readonly string: StringMatch }
    | { readonly kind: 'range'; readonly start: number; readonly end: number }
    | { readonly kind: 'present'; readonly present: boolean };
  readonly invert: boolean;
  readonly treatMissingAsEmpty: boolean;
}

/** A share of requests: `numerator` of `denominator` (100, 10 000 or 1 000 000); `runtimeKey` overrides at run time. */
export interface Fraction {
  readonly numerator: number;
  readonly denominator: number;
  readonly runtimeKey: string | undefined;
}

/** A switch: the runtime's value of the key where it has one, or `value`. */
export interface RuntimeFlag {
  readonly value: boolean;
  readonly key: string | undefined;
}

/** What HeaderValueOption does to a name that is there already. */
export type HeaderAppendAction = 'append-or-add' | 'add-if-absent' | 'overwrite-or-add' | 'overwrite-if-exists';

/** envoy.config.core.v3.HeaderValueOption. `value` may hold command operators (`%REQ(x)%`), expanded per request. */
export interface HeaderToAdd {
  readonly name: string;
  readonly value: string;
  readonly action: HeaderAppendAction;
  readonly keepEmptyValue: boolean;
}

/** The four lists that virtual host, route and weighted cluster each may carry. Removed names are lower case. */
export interface HeaderChanges {
  readonly requestAdd: readonly HeaderToAdd[];
  readonly requestRemove: readonly string[];
  readonly responseAdd: readonly HeaderToAdd[];
  readonly responseRemove: readonly string[];
}

/** Bytes given inline or to be read from a file (watched where `watchedDirectory` says so). */
export type DataSource =
  | { readonly kind: 'inline'; readonly base64: string }
  | { readonly kind: 'file'; readonly path: string; readonly watchedDirectory: string | undefined }
  | { readonly kind: 'environment'; readonly variable: string };

/** Where a dynamic resource comes from. `initialFetchTimeoutMs`: default 15 000; 0: wait for ever. */
export type ConfigSource = { readonly initialFetchTimeoutMs?: number } & (
  | { readonly kind: 'ads' }
  | { readonly kind: 'self' }
  | { readonly kind: 'path'; readonly path: string; readonly watchedDirectory: string | undefined }
  | {
      readonly kind: 'grpc';
      readonly cluster: string;
      readonly delta: boolean;
    }
);

/** envoy.config.core.v3.GrpcService: a cluster of the bootstrap, with metadata for every call. */
export interface GrpcService {
  readonly cluster: string;
  readonly authority: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly initialMetadata: readonly { readonly key: string; readonly value: string }[];
}

/**
 * An extension's configuration, decoded by the extension's own decoder.
 * `typeUrl` is the registry's key; `config` is what that decoder returned (plain data).
 */
export interface ExtensionConfig {
  readonly name: string;
  readonly typeUrl: string;
  readonly config: Json;
}
