/** What the person at the terminal sees. */
import { relative } from 'node:path';
import type { Load } from './load.ts';
import { quantile } from './load.ts';
import type { MeshRun } from './mesh-run.ts';
import type { ProxyFigures } from './proxy-figures.ts';

export function headline(run: MeshRun): string {
  const { host, port } = run.gateway;
  const lines = [`a mesh of ${run.runningPods.length} proxies is up; payments enter at http://${host}:${port}`];
  for (const warning of run.controlPlane.warnings) lines.push(`  warning: ${warning}`);
  run.controlPlane.markTold(run.controlPlane.warnings);
  return lines.join('\n');
}

/** Commands to try while it runs, each below what it shows. */
export function suggestions(run: MeshRun, meshFolder: string): string {
  const { host, port } = run.gateway;
  const clearance = run.runningPods.find((pod) => pod.deployment === 'clearance');
  const replica = run.runningPods.find((pod) => pod.deployment === 'payment-service');
  const settlement = relative('.', `${meshFolder}/bank/settlement.yaml`);
  const tries: [what: string, command: string][] = [
    ['pay once; the answer names the hops', `curl -s -X POST http://${host}:${port}/payments -d '{"id":"one"}'`],
    [
      'edit a file: half of the payments go to settlement v2 (watch "settlement v1 .. v2 ..")',
      `sed -i 's/weight: 90/weight: 50/; s/weight: 10$/weight: 50/' ${settlement}`,
    ],
    [
      'break a file: it is refused with its name and the field, and payments go on',
      `sed -i 's/timeout: 3s/timeout: soon/' ${settlement}`,
    ],
    ['put the files back', `git checkout -- ${relative('.', meshFolder)}`],
    ['kill the control plane: payments go on, and it comes back', `kill -9 ${run.controlPlane.pid ?? '<pid>'}`],
  ];
  const replicaPid = replica === undefined ? undefined : run.appPid(replica);
  if (replica !== undefined && replicaPid !== undefined) {
    tries.push([
      `kill one of payment's three applications: its sidecar says that it took nothing, and another replica is asked`,
      `kill -9 ${replicaPid}`,
    ]);
  }
  const settlementV1 = run.runningPods.find((pod) => pod.deployment === 'settlement-v1');
  const settlementPid = settlementV1 === undefined ? undefined : run.appPid(settlementV1);
  if (settlementPid !== undefined) {
    tries.push([
      'kill settlement v1 for 3 s: payment is told UNAVAILABLE over gRPC, and opens the reports that ended again',
      `kill -9 ${settlementPid}`,
    ]);
  }
  if (clearance !== undefined) {
    tries.push(
      [
        'fail a service for 3 s: payments fail, nothing is paid twice, and then they succeed again',
        `curl -s -X POST 'http://${clearance.ip}:${clearance.ports.app}/-/fail?ms=3000'`,
      ],
      ['what its sidecar counted', `curl -s http://${clearance.ip}:${clearance.ports.admin}/stats | grep upstream_rq`],
    );
  }
  tries.push(['the newest trace: a span for each side of each hop', `curl -s http://127.0.0.1:${run.collector.port}/`]);
  return ['try, in another terminal here:', ...tries.map(([what, command]) => `  # ${what}\n  ${command}`)].join('\n');
}

/** The line of one second. */
export function statusLine(load: Load, proxies: ProxyFigures, run: MeshRun): string {
  const latencies = load.takeLatencies();
  const { sent, ok, failed, mtls } = load.figures;
  const share = ok === 0 ? 0 : (100 * mtls) / ok;
  const age = proxies.certificateAgeS === undefined ? '-' : `${proxies.certificateAgeS}s`;
  const { pid, connected, pushes } = run.controlPlane;
  const control = pid === undefined ? 'DOWN' : `up, ${connected} streams, ${pushes} pushes`;
  return [
    `requests ${sent}`,
    `errors ${failed}`,
    `p50 ${quantile(latencies, 0.5).toFixed(1)} ms`,
    `p99 ${quantile(latencies, 0.99).toFixed(1)} ms`,
    `certificate ${age}, ${proxies.rotations} rotations`,
    `mTLS ${share.toFixed(0)} %`,
    `settlement ${settlementShares(load.takeVersions())}`,
    `spans ${run.collector.spans}`,
    `control plane ${control}`,
  ].join(' | ');
}

/** How the last second's payments were split among settlement's versions, such as `v1 88 % v2 12 %`. */
export function settlementShares(payments: ReadonlyMap<string, number>): string {
  const versions = [...payments].filter(([deployment]) => deployment.startsWith('settlement-')).sort();
  const sum = versions.reduce((all, [, count]) => all + count, 0);
  if (sum === 0) return '-';
  return versions
    .map(([deployment, count]) => `${deployment.slice('settlement-'.length)} ${Math.round((100 * count) / sum)} %`)
    .join(' ');
}
