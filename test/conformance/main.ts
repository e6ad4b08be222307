/**
 * `npm run conformance [-- words of a suite or case]`: progress and differences, for a person. With `--show envoy` (or
 * `tollway`) runs one of the two and prints what came of each case: for writing a case.
 */
import { stdout } from 'node:process';
import { compareSuite } from './compare-suite.ts';
import { findEnvoy } from './harness/proxies.ts';
import { runSuite } from './harness/run-suite.ts';
import { showRecord } from './harness/show.ts';
import { loadSuites } from './suites.ts';

const args = process.argv.slice(2);
const shown = args[0] === '--show' ? (args.splice(0, 2)[1] === 'tollway' ? 'tollway' : 'envoy') : undefined;
const words = args.map((word) => word.toLowerCase());
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
    if (shown !== undefined) {
      stdout.write(showRecord({ ...suite, cases }, await runSuite(shown, { ...suite, cases })));
      continue;
    }
    for (const { name, problems, differs } of await compareSuite(
      { ...suite, cases },
      cases.length === suite.cases.length,
    )) {
      if (problems.length > 0) differ++;
      else agree++;
      const purpose = differs === undefined ? '' : ` (differs on purpose: ${differs})`;
      stdout.write(
        `  ${problems.length === 0 ? '✔' : '✖'} ${name}${purpose}\n${problems.map((problem) => `${problem.replace(/^/gm, '    ')}\n`).join('')}`,
      );
    }
  }
  if (shown === undefined) stdout.write(`${agree} passed, ${differ} failed\n`);
  process.exitCode = differ === 0 ? 0 : 1;
}
