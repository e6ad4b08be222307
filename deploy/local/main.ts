/** `npm start`: a mesh on one machine. */
import { stderr, stdout } from 'node:process';
import { type DemoOptions, parseDemoOptions, USAGE } from './command-line.ts';
import { Load, quantile } from './load.ts';
import { type LedgerEntries, MeshRun } from './mesh-run.ts';
import { ProxyFigures } from './proxy-figures.ts';
import { headline, statusLine, suggestions } from './screen.ts';

const PAYMENTS = [
  { path: '/pay', authority: 'payment-service' },
  { path: '/payments', authority: 'shop.example' },
];

async function main(options: DemoOptions): Promise<number> {
  stdout.write('starting the mesh ...\n');
  const run = await MeshRun.start(options.mesh, options.proxy);
  const proxies = new ProxyFigures(run);
  const load = new Load(run.gateway, PAYMENTS);
  stdout.write(`${headline(run)}\n${suggestions(run, options.mesh)}\n\n`);

  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  if (options.forMs !== undefined) setTimeout(stop, options.forMs);

  load.start(options.rate);
  const ticker = setInterval(() => {
    void proxies.refresh().then(() => stdout.write(`${statusLine(load, proxies, run)}\n`));
  }, 1_000);
  await stopped;
  clearInterval(ticker);
  await load.stop();
  await proxies.refresh();
  const doubled = await countDoubled(run);
  const lost = countLost(load, doubled.processed);
  const { status, collector } = run;
  await pauseForSpans();
  const result = {
    requests: load.figures.sent,
    ok: load.figures.ok,
    failed: load.figures.failed,
    mtls: load.figures.mtls,
    rotations: proxies.rotations,
    configPushes: status.pushes,
    spans: collector.spans,
    p99Ms: Number(quantile(load.allLatencies(), 0.99).toFixed(2)),
    lost,
    doubled: doubled.count,
    rejectedPushes: status.rejected,
  };
  await run.stop();
  for (const failure of load.failures) stdout.write(`failed: ${failure}\n`);
  if (options.json) stdout.write(`${JSON.stringify(result)}\n`);
  else
    stdout.write(
      `\n${Object.entries(result)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}\n`,
    );
  return result.failed === 0 && lost === 0 && doubled.count === 0 ? 0 : 1;
}

/** Payments that an application processed more than once, and all that the last service in the row processed. */
async function countDoubled(
  run: MeshRun,
): Promise<{ readonly count: number; readonly processed: ReadonlySet<string> }> {
  const ledgers = await run.collectLedgers();
  const perService = new Map<string, Map<string, number>>();
  for (const [pod, entries] of ledgers) {
    const service = pod.replace(/(-v\d+)?-\d+$/, '');
    const sums = perService.get(service) ?? new Map<string, number>();
    for (const [id, times] of entries satisfies LedgerEntries) sums.set(id, (sums.get(id) ?? 0) + times);
    perService.set(service, sums);
  }
  let count = 0;
  for (const sums of perService.values()) for (const times of sums.values()) if (times > 1) count++;
  return { count, processed: new Set(perService.get('clearance')?.keys()) };
}

/** Payments that the client was told succeeded and the last service never saw. */
function countLost(load: Load, processed: ReadonlySet<string>): number {
  let lost = 0;
  for (const [id, ok] of load.ledger) if (ok && !processed.has(id)) lost++;
  return lost;
}

/** Spans are exported in batches; the last batch is under way when the load ends. */
function pauseForSpans(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1_500));
}

try {
  process.exitCode = await main(parseDemoOptions(process.argv.slice(2)));
} catch (error) {
  stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof TypeError) stderr.write(USAGE);
  process.exitCode = 1;
}
