/** The one error of the proxy: what happened, on which side, and whether trying again can help. */
export type ErrorSide = 'downstream' | 'upstream' | 'internal';

export class ProxyError extends Error {
  /** A stable word such as `listener-bind` or `bootstrap-invalid`. */
  readonly code: string;
  readonly side: ErrorSide;
  readonly retriable: boolean;

  constructor(code: string, message: string, options: { side?: ErrorSide; retriable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ProxyError';
    this.code = code;
    this.side = options.side ?? 'internal';
    this.retriable = options.retriable ?? false;
  }
}

/** The message of whatever was thrown. */
export function errorMessage(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
