/** A suite's record as text, for whoever writes a case. */
import type { Suite } from './case.ts';
import type { SuiteRecord } from './run-suite.ts';

export function showRecord(suite: Suite, record: SuiteRecord): string {
  const cases = record.cases.map(({ record: { client, upstreams, accessLog }, tookMs }, at) =>
    [
      suite.cases[at]?.name ?? '',
      ...client.map(({ responses, end, tls }, number) => {
        const texts = responses.map(
          ({ start, headers, body }) => `${start} [${headers.join('; ')}] ${body.slice(0, 200)}`,
        );
        const ended = `${end}, ${(tookMs[number] ?? 0).toFixed(0)} ms${tls === undefined ? '' : `, ${JSON.stringify(tls)}`}`;
        return `  client: ${texts.join('\n          ')} (${ended})`;
      }),
      ...Object.entries(upstreams).flatMap(([name, seen]) =>
        seen.map(({ start, headers, connection, tls }) => {
          const more = tls === undefined ? '' : ` ${JSON.stringify(tls)}`;
          return `  ${name}${connection === undefined ? '' : ` (${connection})`}: ${start} [${headers.join('; ')}]${more}`;
        }),
      ),
      ...accessLog.map((line) => `  log: ${JSON.stringify(line)}`),
    ].join('\n'),
  );
  const stats = Object.entries(record.stats).map(([name, value]) => `  ${name}: ${value}`);
  return `${cases.join('\n')}\n${stats.join('\n')}\n`;
}
