/** Masks what must not be in any log: card numbers, bearer tokens and values of telling parameters, wherever they stand. */

/** Cheap look: only texts that pass are searched. */
const SUSPECT =
  /\d(?:[ -]?\d){12}|eyJ|bearer\s|(?:token|secret|passw|key|auth|session|code|pin|cvv|cvc|pan|card)[\w-]*=/i;
const DIGITS = /\d(?:[ -]?\d){12,18}/g;
const BEARER = /\b(bearer|basic)(\s+)[\w.~+/=-]+/gi;
const JWT = /\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/g;
const PARAMETER =
  /([?&;\s]|^)([\w.-]*(?:token|secret|passw(?:or)?d|api[-_]?key|access[-_]?key|auth|session|code|pin|cvv|cvc|pan|card)[\w.-]*=)[^&;\s]+/gi;

/** The text with every secret it shows replaced by `[redacted]`; a card number keeps its last four digits. */
export function maskSecrets(text: string): string {
  if (!SUSPECT.test(text)) return text;
  return text
    .replace(BEARER, '$1$2[redacted]')
    .replace(JWT, '[redacted]')
    .replace(PARAMETER, '$1$2[redacted]')
    .replace(DIGITS, maskCard);
}

function maskCard(found: string): string {
  const digits = found.replace(/[ -]/g, '');
  return passesLuhn(digits) ? `[card *${digits.slice(-4)}]` : found;
}

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    let digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    if (i % 2 === 1) {
      digit *= 2;
      if (digit > 9) digit -= 9;
    }
    sum += digit;
  }
  return sum % 10 === 0;
}
