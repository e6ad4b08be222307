/**
 * Takes secrets out of texts that go to a log: card numbers, bearer tokens and JWTs, credentials in headers and query
 * parameters, cookies, private keys. A text without any sign of them is scanned once and returned as it is.
 */

const minCardDigits = 13;
const maxCardDigits = 19;

/** Digits with at most one separator between them: a space or a dash, as they are or percent-encoded. */
const digitRun = /\d(?:(?:[ +-]|%20|%2[dD])?\d){12,}/g;
const separator = /[ +-]|%20|%2[dD]/g;

const jwt = /\beyJ[\w-]{5,}(?:\.[\w-]*){1,4}/g;
const bearer = /\b(bearer|basic)((?:\s|%20|\+)+)[\w.~+/=-]{8,}/gi;
const cookieHeader = /((?:set-)?cookie2?["']?\s*[:=]\s*)(["']?)[^"'\r\n]+/gi;
const credentialHeader = /((?:proxy-)?authorization["']?\s*[:=]\s*)(["']?)[^"'\r\n]+/gi;
/** A named credential ends where a query parameter, a word or a quoted text ends. */
const named =
  /((?:access|refresh|id|auth|session|csrf|xsrf|api|x-api|client)?[_-]?(?:token|secret|password|passwd|api_?key|session_?id|\bjwt|\bcvv2?|\bcvc2?|\bpan)["']?(?:\s*[:=]\s*|%3[dD])["']?)[^&\s"',;]+/gi;
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/** One look for all the words: the precise patterns run only where it finds one. */
const sign =
  /bearer|basic|cookie|authorization|token|secret|passw|api_?key|session_?id|jwt|cv[vc]|\bpan\b|PRIVATE KEY/i;

/** ISO/IEC 7812-1 annex B, from the right. */
function luhn(digits: string): boolean {
  let sum = 0;
  for (let index = digits.length - 1, double = false; index >= 0; index -= 1, double = !double) {
    const digit = digits.charCodeAt(index) - 48;
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return sum % 10 === 0;
}

/**
 * A run can be a date, a card and an amount side by side: cards are looked for between separators. Where two readings
 * overlap, both are masked.
 */
function maskCards(run: string): string {
  const groups: { readonly digits: string; readonly from: number; readonly to: number; card: boolean }[] = [];
  let from = 0;
  for (const match of run.matchAll(separator)) {
    groups.push({ digits: run.slice(from, match.index), from, to: match.index, card: false });
    from = match.index + match[0].length;
  }
  groups.push({ digits: run.slice(from), from, to: run.length, card: false });
  for (let first = 0; first < groups.length; first += 1) {
    let digits = '';
    for (let last = first; last < groups.length && digits.length <= maxCardDigits; last += 1) {
      digits += groups[last]?.digits ?? '';
      if (digits.length < minCardDigits || digits.length > maxCardDigits || !luhn(digits)) continue;
      for (const group of groups.slice(first, last + 1)) group.card = true;
    }
  }
  let made = '';
  let done = 0;
  let inCard = false;
  for (const group of groups) {
    if (group.card) {
      if (!inCard) made += `${run.slice(done, group.from)}[card]`;
      done = group.to;
    }
    inCard = group.card;
  }
  return made + run.slice(done);
}

/** What a character says about the text, by its code: below 128, as all signs are. */
const digitCode = 1;
const delimiterCode = 2;
const kinds = new Uint8Array(128);
for (const code of Buffer.from('0123456789')) kinds[code] = digitCode;
for (const code of Buffer.from(' =:%+\t')) kinds[code] = delimiterCode;
const space = 32;
/** The last letters of what stands before a space and a credential: `Bearer `, `Basic `, `-----BEGIN `. */
const schemeEnds = new Uint8Array(128);
for (const code of Buffer.from('rcRCN')) schemeEnds[code] = 1;
/** The last letters of a credential's name, before its delimiter: `token=`, `"cookie":`. */
const nameEnds = new Uint8Array(128);
for (const code of Buffer.from('nedtycvrNEDTYCVR2"\' ')) nameEnds[code] = 1;

/** The text with every secret replaced by `[card]`, `[token]`, `[cookie]`, `[masked]` or `[private key]`. */
export function maskSecrets(text: string): string {
  let digits = 0;
  let named = false;
  let before = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const kind = code < 128 ? kinds[code] : 0;
    if (kind === digitCode) digits += 1;
    else if (kind === delimiterCode && before < 128 && (code === space ? schemeEnds : nameEnds)[before] === 1)
      named = true;
    before = code;
  }
  let made = text;
  if (digits >= minCardDigits) made = made.replace(digitRun, maskCards);
  // Before the tokens: a header's value is masked whole.
  if (named && sign.test(made)) made = maskNamed(made);
  if (made.includes('eyJ')) made = made.replace(jwt, '[token]');
  return made;
}

function maskNamed(text: string): string {
  return text
    .replace(privateKey, '[private key]')
    .replace(cookieHeader, '$1$2[cookie]')
    .replace(credentialHeader, '$1$2[token]')
    .replace(bearer, '$1$2[token]')
    .replace(named, '$1[masked]');
}
