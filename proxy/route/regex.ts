/**
 * RE2 patterns, compiled when first used. A match by `re2js` costs about 2 µs, so what can be told from the pattern's
 * literal beginning is: most patterns of a mesh are `/a/b`, `/a/.*` or begin with a path.
 */
import { RE2JS } from 're2js';

const META = new Set('\\^$.|?*+()[]{}');

/** Matches a whole text, as Envoy's RegexMatcher does. */
export class FullMatchRegex {
  readonly pattern: string;
  /** What every match begins with. */
  private readonly prefix: string;
  /** What follows the prefix: nothing, `.*`, or something that needs the engine. */
  private readonly rest: 'nothing' | 'anything' | 'pattern';
  private engine: RE2JS | undefined = undefined;

  constructor(pattern: string) {
    this.pattern = pattern;
    let end = 0;
    // An alternative at the top level could begin otherwise.
    if (!pattern.includes('|')) while (end < pattern.length && !META.has(pattern.charAt(end))) end++;
    // `?`, `*` and `{` bind to the character before them.
    if (end < pattern.length && end > 0 && '?*{'.includes(pattern.charAt(end))) end--;
    this.prefix = pattern.slice(0, end);
    const rest = pattern.slice(end);
    this.rest = rest === '' && !pattern.includes('|') ? 'nothing' : rest === '.*' ? 'anything' : 'pattern';
  }

  matches(text: string): boolean {
    if (this.rest === 'nothing') return text === this.prefix;
    if (!text.startsWith(this.prefix)) return false;
    if (this.rest === 'anything') return !text.includes('\n');
    this.engine ??= RE2JS.compile(this.pattern);
    return this.engine.matches(text);
  }
}

/** Replaces every match; `substitution` is RE2's: `\0` to `\9` are groups, `\\` a backslash. */
export class RegexReplacement {
  private readonly regex: string;
  /** Literal text, or the number of a group. */
  private readonly parts: readonly (string | number)[];
  private engine: RE2JS | undefined = undefined;

  constructor(regex: string, substitution: string) {
    this.regex = regex;
    const parts: (string | number)[] = [];
    for (let i = 0; i < substitution.length; i++) {
      const c = substitution.charAt(i);
      if (c !== '\\') parts.push(c);
      else {
        i++;
        const digit = substitution.charCodeAt(i) - 48;
        parts.push(digit >= 0 && digit <= 9 ? digit : substitution.charAt(i));
      }
    }
    this.parts = parts;
  }

  apply(text: string): string {
    this.engine ??= RE2JS.compile(this.regex);
    const matcher = this.engine.matcher(text);
    let made = '';
    let copied = 0;
    let lastEnd = -1;
    while (matcher.find()) {
      const start = matcher.start();
      const end = matcher.end();
      // As RE2: nothing is found right behind a match.
      if (start === end && start === lastEnd) continue;
      made += text.slice(copied, start);
      for (const part of this.parts) made += typeof part === 'string' ? part : (matcher.group(part) ?? '');
      copied = end;
      lastEnd = end;
    }
    return made + text.slice(copied);
  }
}
