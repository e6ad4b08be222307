/** Two values of one namespace made one, as Envoy does it: structs key by key, lists one behind the other, else the new one. */

interface Struct {
  readonly [key: string]: unknown;
}

function isStruct(value: unknown): value is Struct {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Neither argument is changed. */
export function merged(there: Struct, value: Struct): Struct {
  // A map, so that a key named `__proto__` stays a key.
  const made = new Map(Object.entries(there));
  for (const [key, change] of Object.entries(value)) {
    made.set(key, made.has(key) ? mergedValue(made.get(key), change) : change);
  }
  return Object.fromEntries(made);
}

function mergedValue(there: unknown, value: unknown): unknown {
  if (isStruct(there) && isStruct(value)) return merged(there, value);
  if (Array.isArray(there) && Array.isArray(value)) return [...there, ...value];
  return value;
}
