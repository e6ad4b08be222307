/** Names of resources: read from the bytes without decoding the resource, and compared as xDS says. */

const LENGTH_DELIMITED = 2;

/**
 * The resource's own name, which is field 1 of all the types in resource-types.ts. Nothing else is decoded, so that a
 * resource that nobody asked for, or that did not change, costs a few bytes. `undefined`: the bytes are not a message.
 */
export function nameInBytes(bytes: Uint8Array): string | undefined {
  let name = '';
  let at = 0;
  // The number that starts at `at`, which moves behind it; -1 when the bytes end or it is too long.
  const varint = (): number => {
    let value = 0;
    for (let digits = 0, scale = 1; digits < 10; digits++, scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) return -1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return -1;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag < 8) return undefined;
    const wireType = tag % 8;
    if (wireType === LENGTH_DELIMITED) {
      const length = varint();
      if (length < 0 || at + length > bytes.length) return undefined;
      if (tag === 8 + LENGTH_DELIMITED) name = Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString();
      at += length;
    } else if (wireType === 0) {
      if (varint() < 0) return undefined;
    } else if (wireType === 1 || wireType === 5) {
      at += wireType === 1 ? 8 : 4;
      if (at > bytes.length) return undefined;
    } else {
      return undefined;
    }
  }
  return name;
}

/**
 * The form in which two `xdstp://` names compare equal: context parameters in order of their keys, the fragment gone
 * (xDS TP1). Other names are themselves.
 */
export function canonicalName(name: string): string {
  if (!name.startsWith('xdstp://')) return name;
  const fragment = name.indexOf('#');
  const whole = fragment < 0 ? name : name.slice(0, fragment);
  const query = whole.indexOf('?');
  if (query < 0) return whole;
  const parameters = whole
    .slice(query + 1)
    .split('&')
    .filter((parameter) => parameter !== '')
    .sort();
  return parameters.length === 0 ? whole.slice(0, query) : `${whole.slice(0, query)}?${parameters.join('&')}`;
}

/** The glob collection (`xdstp://authority/type/a/*`) that an `xdstp://` name belongs to; `undefined` for other names. */
export function collectionOf(name: string): string | undefined {
  if (!name.startsWith('xdstp://')) return undefined;
  const canonical = canonicalName(name);
  const query = canonical.indexOf('?');
  const path = query < 0 ? canonical : canonical.slice(0, query);
  const slash = path.lastIndexOf('/');
  if (slash < 'xdstp://'.length) return undefined;
  return `${path.slice(0, slash)}/*${query < 0 ? '' : canonical.slice(query)}`;
}
