/**
 * Keys that stand twice in one object: JSON.parse takes the last and says nothing, and what the first one configured would be
 * gone without a word. (Envoy merges some of them and refuses others.)
 */
const QUOTE = 34;
const BACKSLASH = 92;
const COLON = 58;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const SPACE = 32;

/** Of the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
}

/** `text` has to be JSON. */
export function hasDuplicateKeys(text: string): boolean {
  // The keys of each object that is open, outermost first; kept for the next one of the same depth.
  const keys: Set<string>[] = [];
  let depth = -1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === OPEN_OBJECT) {
      depth++;
      if (keys.length === depth) keys.push(new Set());
      else (keys[depth] as Set<string>).clear();
    } else if (code === CLOSE_OBJECT) depth--;
    else if (code === QUOTE) {
      const end = endOfString(text, at);
      let next = end + 1;
      while (text.charCodeAt(next) <= SPACE) next++;
      if (text.charCodeAt(next) === COLON) {
        const raw = text.slice(at, end + 1);
        const key = raw.includes('\\') ? String(JSON.parse(raw)) : raw.slice(1, -1);
        const own = keys[depth] as Set<string>;
        if (own.has(key)) return true;
        own.add(key);
      }
      at = end;
    }
  }
  return false;
}
