/** Name constraints of authorities (RFC 5280 §4.2.1.10), held against the names below them. */
import { children, contextTag, type Element, parse, textOf, wholeOf } from './der-reader.ts';
import type { GeneralNames } from './general-names.ts';

/** Bases by kind; what they say of other kinds cannot be checked here. */
interface Bases {
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  readonly emails: readonly string[];
}

const KINDS: { readonly [tag: number]: keyof Bases } = {
  [contextTag(1, false)]: 'emails',
  [contextTag(2, false)]: 'dnsNames',
  [contextTag(6, false)]: 'uris',
};
const MATCHES: { readonly [kind in keyof Bases]: (name: string, base: string) => boolean } = {
  dnsNames: withinDomain,
  uris: (uri, base) => withinHost(hostOf(uri), base),
  emails: withinMailbox,
};
/** As BoringSSL: a certificate of many names under many constraints is work that a stranger sets. */
const MAX_COMPARISONS = 1 << 20;

/** Why names are not allowed under the extension's value, `undefined` when they are. Throws `RangeError` on malformed DER. */
export function constraintFault(value: Buffer, names: GeneralNames): string | undefined {
  let permitted: Bases | undefined;
  let excluded: Bases | undefined;
  for (const part of children(parse(value))) {
    const bases = basesOf(part);
    if (bases === undefined) return 'unsupported name constraint type';
    if (part.tag === contextTag(0)) permitted = bases;
    else if (part.tag === contextTag(1)) excluded = bases;
  }
  for (const kind of ['dnsNames', 'uris', 'emails'] as const) {
    const list = names[kind];
    const allowed = permitted?.[kind] ?? [];
    const forbidden = excluded?.[kind] ?? [];
    if (list.length * (allowed.length + forbidden.length) > MAX_COMPARISONS) return 'too many names to check';
    const matches = MATCHES[kind];
    for (const name of list) {
      if (allowed.length > 0 && !allowed.some((base) => matches(name, base))) return 'permitted subtree violation';
      if (forbidden.some((base) => matches(name, base))) return 'excluded subtree violation';
    }
  }
  return undefined;
}

/** `undefined`: something that is not understood, which must not pass as nothing. */
function basesOf(list: Element): Bases | undefined {
  const found = { dnsNames: [] as string[], uris: [] as string[], emails: [] as string[] };
  for (const subtree of children(list)) {
    const [base, more] = children(subtree);
    const kind = base === undefined ? undefined : KINDS[base.tag];
    if (base === undefined || kind === undefined || more !== undefined || wholeOf(subtree).length === 0)
      return undefined;
    found[kind].push(textOf(base).toLowerCase());
  }
  return found;
}

/** The domain itself and all below it; `.x` is below it alone. */
function withinDomain(name: string, base: string): boolean {
  if (base === '') return true;
  const text = name.toLowerCase();
  if (text === base) return true;
  return text.endsWith(base.startsWith('.') ? base : `.${base}`);
}

/** Of a URI: one host, or with a leading dot all below it. */
function withinHost(host: string | undefined, base: string): boolean {
  if (host === undefined) return false;
  return base.startsWith('.') ? host.length > base.length && host.endsWith(base) : host === base;
}

function withinMailbox(name: string, base: string): boolean {
  const at = name.lastIndexOf('@');
  if (at < 0) return false;
  if (base.includes('@')) return name.toLowerCase() === base;
  return withinHost(name.slice(at + 1).toLowerCase(), base);
}

function hostOf(uri: string): string | undefined {
  const match = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@]+)/i.exec(uri);
  return match?.[1]?.toLowerCase();
}
