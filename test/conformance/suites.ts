/** The one list of conformance suites. A new file in cases/ is found by its folder; nothing is added here. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Suite } from './harness/case.ts';

export async function loadSuites(): Promise<readonly Suite[]> {
  const folder = join(import.meta.dirname, 'cases');
  const suites: Suite[] = [];
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith('.ts')) continue;
    const module = (await import(join(folder, file))) as { readonly suite: Suite };
    suites.push(module.suite);
  }
  return suites;
}
