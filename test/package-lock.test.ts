import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');

type Locked = { optionalDependencies?: Record<string, string> };
type Declared = { readonly [name: string]: string };

const lock: { packages: Record<string, Locked> } = JSON.parse(readFileSync(resolve(ROOT, 'package-lock.json'), 'utf8'));
const project: { dependencies: Declared; devDependencies: Declared; optionalDependencies: Declared } = JSON.parse(
  readFileSync(resolve(ROOT, 'package.json'), 'utf8'),
);

const IMPORT = /^(?:(?:import|export|\}) (?:.* )?from|import) '([^']+)';$|\bimport\('([^']+)'\)/gm;

/** Packages that the files import, each with the first file that does. */
function packagesOf(...patterns: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of patterns.flatMap((pattern) => globSync(pattern, { cwd: ROOT }))) {
    const text = readFileSync(resolve(ROOT, file), 'utf8');
    for (const [, from, lazily] of text.matchAll(IMPORT)) {
      const specifier = from ?? lazily ?? '';
      if (specifier.startsWith('.') || isBuiltin(specifier)) continue;
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      if (!found.has(name)) found.set(name, file);
    }
  }
  return found;
}

describe('package-lock.json', () => {
  // A lock written where a registry hides other platforms' packages installs there and nowhere else: `npm ci` refuses it.
  it('has an entry for each optional dependency of each package', () => {
    const missing: string[] = [];
    for (const [path, { optionalDependencies = {} }] of Object.entries(lock.packages)) {
      for (const name of Object.keys(optionalDependencies)) {
        if (lock.packages[`node_modules/${name}`] === undefined) missing.push(`${name} (of ${path || 'the project'})`);
      }
    }
    assert.deepEqual(missing, []);
  });
});

describe('package.json', () => {
  it('pins each version', () => {
    const { dependencies, devDependencies, optionalDependencies } = project;
    const loose = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    );
    assert.deepEqual(loose, []);
  });

  // A package that comes along with another goes with it, too.
  it('declares what the product imports', () => {
    const imported = packagesOf('{proxy,xds-client,certs,protos,bin,deploy}/**/*.{ts,js}');
    assert.ok(imported.size > 5, 'the reader of imports is broken');
    const undeclared = [...imported].filter(([name]) => project.dependencies[name] === undefined);
    assert.deepEqual(undeclared, []);
  });

  it('declares what tests and benchmarks import', () => {
    const declared = { ...project.dependencies, ...project.devDependencies };
    assert.deepEqual(
      [...packagesOf('{test,bench}/**/*.ts')].filter(([name]) => declared[name] === undefined),
      [],
    );
  });
});
