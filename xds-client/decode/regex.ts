/** Whether a pattern is RE2 syntax and small enough to run on every request. */
import { RE2JS } from 're2js';
import type { DecodeContext } from './context.ts';

/** Longer patterns are refused unread: compiling them is what would hurt. */
const MAX_PATTERN_LENGTH = 16_384;
/** RE2 instructions. Envoy's own limit is a runtime key with no bound by default; a payload must not choose ours. */
const MAX_PROGRAM_SIZE = 16_384;
const MAX_REMEMBERED = 4096;

/** What is wrong with a pattern, `undefined` when nothing is: pushes repeat the same patterns. */
const remembered = new Map<string, string | undefined>();

function problemOf(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH) {
    return `regex is ${pattern.length} characters long, the limit is ${MAX_PATTERN_LENGTH}`;
  }
  try {
    const size = RE2JS.compile(pattern).programSize();
    return size > MAX_PROGRAM_SIZE
      ? `regex program size of ${size} > max program size of ${MAX_PROGRAM_SIZE}`
      : undefined;
  } catch (cause) {
    return cause instanceof Error ? `invalid regex "${pattern}": ${cause.message}` : `invalid regex "${pattern}"`;
  }
}

/** Notes an error when the pattern does not compile; returns the pattern. */
export function checkedRegex(pattern: string, ctx: DecodeContext, field = 'regex'): string {
  let problem = remembered.get(pattern);
  if (problem === undefined && !remembered.has(pattern)) {
    problem = problemOf(pattern);
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(pattern, problem);
  }
  if (problem !== undefined) ctx.error(problem, field);
  return pattern;
}
