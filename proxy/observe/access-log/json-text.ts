/** JSON as Envoy writes it: the members of an object sorted by their names. */

/** What JSON (RFC 8259 §7) or UTF-8 does not take as it stands. */
const ESCAPED = /[^ !#-[\]-\ud7ff\ue000-\uffff]/;

export function quoted(text: string): string {
  return ESCAPED.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/** Of plain data. */
export function sortedJson(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${quoted(name)}:${sortedJson(member)}`).join(',')}}`;
}
