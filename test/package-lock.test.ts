import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

type Locked = { optionalDependencies?: Record<string, string> };

const lock: { packages: Record<string, Locked> } = JSON.parse(
  readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'),
);

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
