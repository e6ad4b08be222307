/** Runs one suite on Envoy and on Tollway and reports where they part. */
import type { Suite } from './harness/case.ts';
import { diff, judge, type Part, showPart } from './harness/compare.ts';
import { runSuite, type SuiteRecord } from './harness/run-suite.ts';
import { endsAtOnce } from './harness/stats.ts';

export interface CaseReport {
  readonly name: string;
  /** Empty: the two agree, but for differences on purpose. */
  readonly problems: readonly string[];
  /** Why they differ where they differ on purpose. */
  readonly differs: string | undefined;
}

/** `whole`: no case was left out, so that every difference of the statistics that is expected must show. */
export async function compareSuite(suite: Suite, whole = true): Promise<readonly CaseReport[]> {
  const [envoy, tollway] = await Promise.all([runSuite('envoy', suite), runSuite('tollway', suite)]);
  return report(suite, envoy, tollway, whole);
}

/** What two records of one suite say: a report a case, and one for the statistics. */
export function report(suite: Suite, envoy: SuiteRecord, tollway: SuiteRecord, whole = true): readonly CaseReport[] {
  const reports = suite.cases.map((one, at) => {
    const a = envoy.cases[at];
    const b = tollway.cases[at];
    const { unexpected, stale } = judge(diff(a?.record, b?.record), one.differs);
    const problems = unexpected.map(showPart);
    for (const path of stale)
      problems.push(`  ${path}\n    is said to differ on purpose and does not: take the line out`);
    if (one.takesMs !== undefined)
      problems.push(...timing(one.takesMs, { envoy: a?.tookMs ?? [], tollway: b?.tookMs ?? [] }));
    return { name: one.name, problems, differs: one.differs?.why };
  });
  const parts = statsParts(envoy.stats, tollway.stats).filter((part) => !endsAtOnce(part));
  const { unexpected, stale } = judge(parts, suite.statsDiffer);
  const problems = [
    ...unexpected.map(showPart),
    ...(whole ? stale.map((name) => `  ${name}\n    is said to differ and does not`) : []),
  ];
  return [...reports, { name: 'statistics', problems, differs: suite.statsDiffer?.why }];
}

/** A statistic that only one side has differs only when that side is Envoy and it counted something. */
function statsParts(envoy: SuiteRecord['stats'], tollway: SuiteRecord['stats']): readonly Part[] {
  return Object.keys({ ...envoy, ...tollway })
    .sort()
    .filter((name) => envoy[name] !== tollway[name])
    .map((name) => ({ path: name, envoy: envoy[name] ?? 0, tollway: tollway[name] ?? 0 }));
}

function timing(
  [least, most]: readonly [number, number],
  took: { readonly [side: string]: readonly number[] },
): string[] {
  return Object.entries(took).flatMap(([side, times]) =>
    times
      .filter((ms) => ms < least || ms > most)
      .map((ms) => `  ${side} took ${ms.toFixed(0)} ms: wanted from ${least} to ${most}`),
  );
}
