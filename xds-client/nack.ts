/** What a NACK tells: which resource, where in it, and why. */
import type { FieldError } from './decode/context.ts';

/** One thing wrong with one resource of a response. */
export interface ResourceError {
  /** The resource's name, or `resources[3]` when it has none that can be read. */
  readonly resource: string;
  /** The field, rooted at the resource; empty: the resource as a whole. */
  readonly path: string;
  readonly message: string;
}

/** A hostile push must not make the answer as large as itself. */
const MAX_LENGTH = 16_384;

export function resourceErrors(resource: string, errors: readonly FieldError[]): ResourceError[] {
  return errors.map(({ path, message }) => ({ resource, path, message }));
}

/**
 * The text of `error_detail`: every error, as `LDS "web": filter_chains[0].filters: is empty`, joined by `; `. What
 * does not fit in 16 KiB is counted.
 */
export function nackMessage(api: string, errors: readonly ResourceError[]): string {
  let message = '';
  for (const [index, error] of errors.entries()) {
    const field = error.path === '' ? '' : `${error.path}: `;
    const line = `${index === 0 ? '' : '; '}${api} "${error.resource}": ${field}${error.message}`;
    if (message.length + line.length > MAX_LENGTH) {
      const room = index === 0 ? line.slice(0, MAX_LENGTH) : message;
      return `${room}; and ${errors.length - Math.max(index, 1)} more`;
    }
    message += line;
  }
  return message;
}
