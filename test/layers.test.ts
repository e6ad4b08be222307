/**
 * Holds the layers that ARCHITECTURE.md ("Which room may import which") describes: reads every import and fails with
 * the line that breaks the rule.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');
const WHERE = 'ARCHITECTURE.md, "Which room may import which"';

interface Import {
  readonly from: string;
  readonly line: number;
  readonly specifier: string;
  /** Repository path of the imported file; `undefined` for packages. */
  readonly to: string | undefined;
  readonly typeOnly: boolean;
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('protos/generated/'));
}

const IMPORT =
  /^\s*(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

function importsOf(path: string): Import[] {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const found: Import[] = [];
  for (const match of text.matchAll(IMPORT)) {
    const specifier = match[2] ?? match[3];
    if (specifier === undefined) continue;
    const line = text.slice(0, match.index).split('\n').length + (match[0].startsWith('\n') ? 1 : 0);
    const to = specifier.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(path), specifier)) : undefined;
    found.push({ from: path, line, specifier, to, typeOnly: match[1] !== undefined });
  }
  return found;
}

const productFolders = ['proxy', 'xds-client', 'certs', 'protos'];
const all = productFolders.flatMap(sources).flatMap(importsOf);

/** Which top folders each top folder may import. */
const TOP: { readonly [folder: string]: readonly string[] } = {
  proxy: ['proxy', 'xds-client', 'certs', 'protos'],
  'xds-client': ['xds-client', 'protos'],
  certs: ['certs', 'protos'],
  protos: ['protos'],
};

/**
 * Which rooms of proxy/ each room may import beyond itself. Rooms are named by their longest prefix. `contract.ts`
 * files, the messages and the errors are open to all: they are the agreements between rooms.
 */
const OPEN = /\/contract\.ts$|^proxy\/(messages|errors|log|timers)\.ts$|^xds-client\/model\//;
const ROOMS: { readonly [room: string]: readonly string[] } = {
  'proxy/http': [],
  'proxy/http1': ['proxy/http'],
  'proxy/http2': ['proxy/http'],
  'proxy/route': ['proxy/http'],
  'proxy/policy': ['proxy/http'],
  'proxy/rbac': ['proxy/http', 'proxy/route', 'proxy/listener/addresses.ts'],
  'proxy/balancer': [],
  'proxy/tls': ['proxy/http', 'proxy/observe', 'certs'],
  'proxy/upstream': [
    'proxy/http',
    'proxy/http1',
    'proxy/http2',
    'proxy/tls',
    'proxy/observe',
    'proxy/cluster/stats.ts',
    'proxy/cluster/shared.ts',
  ],
  'proxy/cluster': ['proxy/http', 'proxy/balancer', 'proxy/upstream', 'proxy/observe'],
  'proxy/cluster/health-check': [
    'proxy/http',
    'proxy/http1',
    'proxy/http2',
    'proxy/route',
    'proxy/upstream',
    'proxy/observe',
    'proxy/cluster',
  ],
  'proxy/listener': ['proxy/http', 'proxy/tls', 'proxy/observe', 'proxy/native'],
  'proxy/native': [],
  'proxy/filters/http': ['proxy/http', 'proxy/route', 'proxy/policy', 'proxy/observe', 'proxy/cluster/stats.ts'],
  'proxy/filters/network': [
    'proxy/http',
    'proxy/http1',
    'proxy/http2',
    'proxy/route',
    'proxy/policy',
    'proxy/rbac',
    'proxy/observe',
    'proxy/filters/http',
    'proxy/upstream',
    'proxy/cluster/stats.ts',
  ],
  'proxy/observe': ['proxy/http'],
  'proxy/secrets': ['proxy/tls', 'certs', 'xds-client', 'protos', 'proxy/observe'],
  'proxy/bootstrap': ['xds-client', 'protos'],
  'proxy/admin': ['proxy/observe', 'protos', 'xds-client'],
};

/** Rooms without sockets, clock, randomness or logger: those come in as arguments. */
const PURE = [
  'proxy/route',
  'proxy/policy',
  'proxy/rbac',
  'proxy/balancer',
  'xds-client/subscription.ts',
  'xds-client/warming.ts',
  'certs/rotation.ts',
];
/** Rooms that a request passes: general HTTP libraries stay out. */
const DATA_PATH = [
  'proxy/http',
  'proxy/http1',
  'proxy/http2',
  'proxy/upstream',
  'proxy/listener',
  'proxy/filters',
  'proxy/cluster',
  'proxy/tls',
];

const inside = (path: string, room: string) => path === room || path.startsWith(`${room}/`);
const roomOf = (path: string) =>
  Object.keys(ROOMS)
    .filter((room) => inside(path, room))
    .sort((a, b) => b.length - a.length)[0];
const show = (found: Import, rule: string) =>
  `${found.from}:${found.line} imports ${found.specifier}: ${rule} (${WHERE})`;

test('top-level folders import one way', () => {
  const broken = all
    .filter(
      ({ from, to }) => to !== undefined && !TOP[from.split('/')[0] as string]?.includes(to.split('/')[0] as string),
    )
    .map((found) =>
      show(found, `${found.from.split('/')[0]} may import ${TOP[found.from.split('/')[0] as string]?.join(', ')} only`),
    );
  assert.deepEqual(broken, []);
});

test('rooms of the proxy import one way', () => {
  const broken: string[] = [];
  for (const found of all) {
    const room = roomOf(found.from);
    if (room === undefined || found.to === undefined || OPEN.test(found.to)) continue;
    const to = found.to;
    if (inside(to, room) || (ROOMS[room] as readonly string[]).some((allowed) => inside(to, allowed))) continue;
    broken.push(show(found, `${room} may import ${['itself', ...(ROOMS[room] as readonly string[])].join(', ')} only`));
  }
  assert.deepEqual(broken, []);
});

test('filters never import each other', () => {
  const broken = all
    .filter(({ from, to }) => {
      const here = /^proxy\/filters\/(http|network)\/([^/]+)\//.exec(from);
      const there = to === undefined ? null : /^proxy\/filters\/(http|network)\/([^/]+)\//.exec(to);
      return here !== null && there !== null && here[1] === there[1] && here[2] !== there[2];
    })
    .map((found) => show(found, 'a filter knows the contract, never another filter'));
  assert.deepEqual(broken, []);
});

test('pure rooms use no sockets, clock, randomness or logger', () => {
  const broken = all
    .filter(
      ({ from, specifier }) =>
        PURE.some((room) => inside(from, room)) &&
        (specifier.startsWith('node:') || specifier === 'pino' || specifier.endsWith('/log.ts')),
    )
    .map((found) => show(found, 'time, randomness and files come in as arguments'));
  for (const path of productFolders.flatMap(sources).filter((file) => PURE.some((room) => inside(file, room)))) {
    readFileSync(join(ROOT, path), 'utf8')
      .split('\n')
      .forEach((line, at) => {
        if (/^\s*(\*|\/\/|\/\*)/.test(line)) return;
        const use = /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval|setImmediate)\b/.exec(line);
        if (use !== null)
          broken.push(`${path}:${at + 1} uses ${use[0]}: time and randomness come in as arguments (${WHERE})`);
      });
  }
  assert.deepEqual(broken, []);
});

test('the data path uses no general HTTP library', () => {
  const broken = all
    .filter(
      ({ from, specifier }) =>
        DATA_PATH.some((room) => inside(from, room)) && /^(node:)?(http|http2|https|undici)$/.test(specifier),
    )
    .map((found) => show(found, "the codecs are the project's own: use proxy/http1 or proxy/http2"));
  assert.deepEqual(broken, []);
});

test('health checks are loaded with the first cluster that has them', () => {
  const broken = all
    .filter(({ from, to, typeOnly }) => {
      const room = 'proxy/cluster/health-check';
      return to !== undefined && inside(to, room) && !inside(from, room) && !typeOnly;
    })
    .map((found) => show(found, 'a start without them loads none of their code: see proxy/cluster-health.ts'));
  assert.deepEqual(broken, []);
});

test('there are no import cycles', () => {
  const edges = new Map<string, Import[]>();
  for (const found of all) {
    if (found.to === undefined || found.typeOnly) continue;
    edges.set(found.from, [...(edges.get(found.from) ?? []), found]);
  }
  const done = new Set<string>();
  const cycles: string[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const edge of edges.get(path) ?? []) walk(edge.to as string, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  assert.deepEqual(cycles, []);
});

/** The rows of ARCHITECTURE.md's table as the rooms above have them. */
function tableRow(room: string, allowed: readonly string[]): string {
  const shown = allowed.map((to) => (to.startsWith('proxy/') ? `\`${to.slice(6)}\`` : `\`${to}/\``));
  return `| \`${room.slice(6)}\` | ${shown.join(', ') || 'nothing else'} |`;
}

test('ARCHITECTURE.md says which room may import which', () => {
  const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const table = text.slice(text.indexOf('| room in `proxy/` | may import |'), text.indexOf('Open to all are'));
  const rows = table.split('\n').flatMap((line) => (line.trim().startsWith('| `') ? [line.trim()] : []));
  assert.deepEqual(
    rows,
    Object.entries(ROOMS).map(([room, allowed]) => tableRow(room, allowed)),
  );
});

test('the reader of imports sees the forms that the code uses', () => {
  assert.ok(all.length > 40, `only ${all.length} imports were found: the reader is broken`);
  assert.ok(all.some(({ typeOnly }) => typeOnly) && all.some(({ to }) => to === undefined));
});
