import type { Fraction, GrpcService, HeaderMatch, Json } from './common.ts';

/** envoy AccessLogFilter. */
export type AccessLogFilter =
  | {
      readonly kind: 'status' | 'duration';
      readonly op: 'eq' | 'ge' | 'le' | 'ne';
      readonly value: number;
      readonly runtimeKey: string | undefined;
    }
  | { readonly kind: 'not-health-check' }
  | { readonly kind: 'traceable' }
  | { readonly kind: 'runtime'; readonly key: string; readonly fraction: Fraction }
  | { readonly kind: 'and' | 'or'; readonly filters: readonly AccessLogFilter[] }
  | { readonly kind: 'header'; readonly header: HeaderMatch }
  /** Empty: any flag. */
  | { readonly kind: 'response-flag'; readonly flags: readonly string[] }
  | { readonly kind: 'grpc-status'; readonly statuses: readonly number[]; readonly exclude: boolean };

/** A line's shape. `undefined` format: Envoy's default text line. */
export type LogFormat =
  | { readonly kind: 'text'; readonly text: string; readonly omitEmptyValues: boolean }
  | { readonly kind: 'json'; readonly json: { readonly [key: string]: Json }; readonly omitEmptyValues: boolean };

export interface AccessLog {
  readonly name: string;
  readonly filter: AccessLogFilter | undefined;
  readonly sink:
    | { readonly kind: 'file'; readonly path: string; readonly format: LogFormat | undefined }
    | { readonly kind: 'stdout' | 'stderr'; readonly format: LogFormat | undefined }
    | {
        readonly kind: 'otel';
        readonly service: GrpcService;
        readonly body: Json;
        readonly attributes: { readonly [key: string]: Json };
      };
}
