/** `npm start`: a mesh on one machine. */
import { stderr, stdout } from 'node:process';
import { type DemoOptions, parseDemoOptions, USAGE } from './command-line.ts';
import { compareLedgers, compareReports } from './ledgers.ts';
import { Load, quantile } from './load.ts';
import { MeshRun } from './mesh-run.ts';
import { ProxyFigures } from './proxy-figures.ts';
import { headline, statusLine, suggestions } from './screen.ts';

const PAYMENTS = [
  { path: '/pay', authority: 'payment-service' },
  { path: '/payments', authority: 'shop.example' },
];
/** The last service in the row of a payment. */
const LAST = 'clearance';
/** The service that is asked over gRPC and streams its report, and the one that does so, as ledgers name them. */
const SETTLEMENT = 'settlement';
const PAYMENT = 'payment';
/** Spans are exported in batches of a second; the last one is under way when the load ends. */
const SPANS_SETTLE_MS = 1_500;

async function main(options: DemoOptions): Promise<number> {
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stopped.resolve());
  const tell = (line: string): void => void stdout.write(`${line}\n`);
  tell('starting the mesh ...');
  const run = await MeshRun.start({ meshFolder: options.mesh, proxyCommand: options.proxy, tell });
  const proxies = new ProxyFigures(run);
  const load = new Load(run.gateway, PAYMENTS);
  tell(`${headline(run)}\n${suggestions(run, options.mesh)}\n`);

  if (options.forMs !== undefined) setTimeout(stopped.resolve, options.forMs);
  void load.start(options.rate);
  const ticker = setInterval(() => {
    void proxies.refresh().then(() => tell(statusLine(load, proxies, run)));
  }, 1_000);
  await stopped.promise;
  clearInterval(ticker);
  await load.stop();
  await proxies.refresh();
  await new Promise((resolve) => setTimeout(resolve, SPANS_SETTLE_MS));
  const { sent, ok, failed, mtls } = load.figures;
  const ledgers = run.ledgers();
  const reports = run.reports();
  const result = {
    requests: sent,
    ok,
    failed,
    mtls,
    rotations: proxies.rotations,
    configPushes: run.controlPlane.pushes,
    spans: run.collector.spans,
    p99Ms: Number(quantile(load.allLatencies(), 0.99).toFixed(2)),
    ...compareLedgers(load.ledger, ledgers, LAST),
    grpcCalls: ledgers.get(SETTLEMENT)?.length ?? 0,
    ...compareReports(reports.get(PAYMENT) ?? [], reports.get(SETTLEMENT) ?? []),
    rejectedPushes: run.controlPlane.rejected,
  };
  await run.stop();
  for (const failure of load.failures) tell(`failed: ${failure}`);
  const fields = Object.entries(result).map(([name, value]) => `${name} ${value}`);
  tell(options.json ? JSON.stringify(result) : `\n${fields.join(', ')}`);
  const { lost, doubled, reportsLost, reportsDoubled } = result;
  return failed + lost + doubled + reportsLost + reportsDoubled === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(parseDemoOptions(process.argv.slice(2)));
} catch (error) {
  stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof TypeError) stderr.write(USAGE);
  process.exitCode = 1;
}
