/** The structure of JSON without its values: which keys there are and of what type, for pages that clients parse. */

/** Paths with their types: `a.b[].c: number`. Elements of a list are laid over each other. */
export function shapeOf(value: unknown, path = '$'): ReadonlySet<string> {
  const found = new Set<string>();
  walk(value, path, found);
  return found;
}

function walk(value: unknown, path: string, found: Set<string>): void {
  if (Array.isArray(value)) {
    found.add(`${path}: list`);
    for (const element of value) walk(element, `${path}[]`, found);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, member] of Object.entries(value)) walk(member, `${path}.${key}`, found);
  } else {
    found.add(`${path}: ${value === null ? 'null' : typeof value}`);
  }
}

/** What only one of two shapes has, but for paths that a pattern of `except` matches. */
export function shapeDifferences(
  envoy: unknown,
  tollway: unknown,
  except: readonly RegExp[] = [],
): { readonly onlyEnvoy: readonly string[]; readonly onlyTollway: readonly string[] } {
  const [a, b] = [shapeOf(envoy), shapeOf(tollway)];
  const counts = (path: string) => !except.some((pattern) => pattern.test(path));
  return {
    onlyEnvoy: [...a].filter((path) => !b.has(path) && counts(path)).sort(),
    onlyTollway: [...b].filter((path) => !a.has(path) && counts(path)).sort(),
  };
}
