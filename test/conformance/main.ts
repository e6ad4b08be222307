/** `npm run conformance [-- words of a suite or case]`: progress and differences, for a person. */
import { stdout } from 'node:process';
import { compareSuite } from './compare-suite.ts';
import { findEnvoy } from './harness/proxies.ts';
import { loadSuites } from './suites.ts';

const words = process.argv.slice(2).map((word) => word.toLowerCase());
const wanted = (name: string) => words.length === 0 || words.some((word) => name.toLowerCase().includes(word));

if (findEnvoy() === undefined) {
  stdout.write('Envoy is not installed: npm run peers\n');
  process.exitCode = 1;
} else {
  let agree = 0;
  let differ = 0;
  for (const suite of await loadSuites()) {
    const cases = suite.cases.filter((one) => wanted(`${suite.name} ${one.name}`));
    if (cases.length === 0) continue;
    stdout.write(`${suite.name}\n`);
    for (const { name, problems, differs } of await compareSuite({ ...suite, cases })) {
      if (problems.length > 0) differ++;
      else agree++;
      const purpose = differs === undefined ? '' : ` (differs on purpose: ${differs})`;
      stdout.write(
        `  ${problems.length === 0 ? '✔' : '✖'} ${name}${purpose}\n${problems.map((problem) => `${problem.replace(/^/gm, '    ')}\n`).join('')}`,
      );
    }
  }
  stdout.write(`${agree} passed, ${differ} failed\n`);
  process.exitCode = differ === 0 ? 0 : 1;
}
