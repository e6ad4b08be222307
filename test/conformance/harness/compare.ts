/** Makes two records comparable, and says where they part. */
import type { Difference } from './case.ts';

export interface Part {
  readonly path: string;
  readonly envoy: unknown;
  readonly tollway: unknown;
}

/** Fields whose values differ from run to run; the name stays, so that a missing field is seen. */
const VOLATILE: { readonly [header: string]: string } = {
  date: '<date>',
  'x-request-id': '<id>',
  'x-envoy-upstream-service-time': '<ms>',
  'x-envoy-expected-rq-timeout-ms': '<ms>',
  traceparent: '<traceparent>',
};

/** Ids that cases send begin so: they are compared as they come. */
const FIXED_ID = '11111111';

/**
 * Header lists sorted by name, lower case, with volatile values replaced. The order of the values of one name stays.
 * The default `server` is Envoy's in one and Tollway's in the other: it compares as `<server>`.
 */
export function normaliseHeaders(headers: readonly (readonly [string, string])[]): string[] {
  return headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .map(
      ([name, value]) =>
        [
          name,
          (value.startsWith(FIXED_ID) ? undefined : VOLATILE[name]) ??
            (name === 'server' && (value === 'envoy' || value === 'tollway') ? '<server>' : value),
        ] as const,
    )
    .map(([name, value], at) => ({ name, text: `${name}: ${value}`, at }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.at - b.at))
    .map(({ text }) => text);
}

/** The same for a head in bytes that are no whole response; its lines stay in their order. */
export function normaliseRest(rest: string): string {
  return rest
    .replace(/^server: (?:envoy|tollway)\r$/gm, 'server: <server>\r')
    .replace(/^([\w-]+): .*\r$/gm, (line, name: string) => {
      const volatile = VOLATILE[name];
      return volatile === undefined ? line : `${name}: ${volatile}\r`;
    });
}

/** Replaces the ports of this run by names: `127.0.0.1:<a>`, `x-forwarded-port: <ingress>`. Others are the client's. */
export function normaliseText(text: string, ports: ReadonlyMap<number, string>): string {
  return text.replace(
    /(127\.0\.0\.1:|x-forwarded-port: )(\d+)/g,
    (_, before: string, port: string) => `${before}<${ports.get(Number(port)) ?? 'client'}>`,
  );
}

/** Every path at which two JSON values differ. */
export function diff(envoy: unknown, tollway: unknown, path = ''): Part[] {
  if (Object.is(envoy, tollway)) return [];
  if (isObject(envoy) && isObject(tollway)) {
    const keys = [...new Set([...Object.keys(envoy), ...Object.keys(tollway)])];
    return keys.flatMap((key) => diff(envoy[key], tollway[key], path === '' ? key : `${path}.${key}`));
  }
  if (Array.isArray(envoy) && Array.isArray(tollway)) {
    const length = Math.max(envoy.length, tollway.length);
    return Array.from({ length }, (_, at) => diff(envoy[at], tollway[at], `${path}[${at}]`)).flat();
  }
  return [{ path, envoy, tollway }];
}

/** Splits found differences into those on purpose and the others; `stale` are expectations that did not come true. */
export function judge(
  parts: readonly Part[],
  expected: Difference | undefined,
): { readonly unexpected: readonly Part[]; readonly stale: readonly string[] } {
  const paths = Object.entries(expected?.at ?? {});
  const unexpected = parts.filter(
    (part) =>
      !paths.some(
        ([path, values]) =>
          covers(path, part.path) && equals(values.envoy, part.envoy) && equals(values.tollway, part.tollway),
      ),
  );
  const stale = paths.filter(([path]) => !parts.some((part) => covers(path, part.path))).map(([path]) => path);
  return { unexpected, stale };
}

function covers(pattern: string, path: string): boolean {
  return pattern.endsWith('.*')
    ? path === pattern.slice(0, -2) || path.startsWith(pattern.slice(0, -2))
    : pattern === path;
}

function equals(expected: unknown, found: unknown): boolean {
  if (expected === '*') return true;
  if (expected instanceof RegExp) return typeof found === 'string' && expected.test(found);
  return diff(expected, found).length === 0;
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function showPart({ path, envoy, tollway }: Part): string {
  return `  ${path}\n    envoy:   ${JSON.stringify(envoy)}\n    tollway: ${JSON.stringify(tollway)}`;
}
