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
/** Nor may one error hide the others: of a name, a path or a message, so much is told. */
const MAX_PART = 1_024;

function shortened(text: string): string {
  return text.length <= MAX_PART ? text : `${text.slice(0, MAX_PART)}...`;
}

export function resourceErrors(resource: string, errors: readonly FieldError[]): ResourceError[] {
  return errors.map(({ path, message }) => ({ resource, path, message }));
}

/**
 * The text of `error_detail`: every error, as `LDS "web": filter_chains[0].filters: is empty`, joined by `; `. What
 * does not fit in 16 KiB is counted. Well-formed whatever the resources held: a server refuses a request that is not UTF-8.
 */
export function nackMessage(api: string, errors: readonly ResourceError[]): string {
  let message = '';
  for (const [index, error] of errors.entries()) {
    const field = error.path === '' ? '' : `${shortened(error.path)}: `;
    const line = `${index === 0 ? '' : '; '}${api} "${shortened(error.resource)}": ${field}${shortened(error.message)}`;
    if (message.length + line.length > MAX_LENGTH) {
      message += `; and ${errors.length - index} more`;
      break;
    }
    message += line;
  }
  return message.toWellFormed();
}
