/** What the person at the terminal sees. */
import type { Load } from './load.ts';
import { quantile } from './load.ts';
import type { MeshRun } from './mesh-run.ts';
import type { ProxyFigures } from './proxy-figures.ts';

export function headline(run: MeshRun): string {
  const { host, port } = run.gateway;
  const lines = [`a mesh of ${run.runningPods.length} proxies is up; payments enter at http://${host}:${port}`];
  for (const warning of run.status.warnings) lines.push(`  warning: ${warning}`);
  return lines.join('\n');
}

/** Commands to try while it runs. */
export function suggestions(run: MeshRun, meshFolder: string): string {
  const { host, port } = run.gateway;
  const clearance = run.runningPods.find((pod) => pod.deployment === 'clearance');
  const lines = [
    'try, in another terminal:',
    `  curl -s -X POST http://${host}:${port}/payments -d '{"id":"one"}'                     pay once`,
    `  sed -i 's/weight: 90/weight: 50/; s/weight: 10$/weight: 50/' ${meshFolder}/bank/settlement.yaml   shift traffic to v2`,
    `  kill -9 ${run.controlPlanePid ?? '<pid>'}                                             kill the control plane: payments go on`,
  ];
  if (clearance !== undefined) {
    lines.push(
      `  curl -s -X POST 'http://${clearance.ip}:${clearance.ports.app}/-/fail?ms=3000'        fail a service for 3 s`,
      `  curl -s http://${clearance.ip}:${clearance.ports.admin}/stats | grep upstream_rq       what its sidecar counted`,
    );
  }
  return lines.join('\n');
}

/** The line of one second. */
export function statusLine(load: Load, proxies: ProxyFigures, run: MeshRun): string {
  const latencies = load.takeLatencies();
  const { sent, ok, failed, mtls } = load.figures;
  const share = ok === 0 ? 0 : (100 * mtls) / ok;
  const age = proxies.certificateAgeS === undefined ? '-' : `${proxies.certificateAgeS}s`;
  const control =
    run.controlPlanePid === undefined ? 'DOWN' : `up, ${run.status.connected} streams, ${run.status.pushes} pushes`;
  return [
    `requests ${sent}`,
    `errors ${failed}`,
    `p50 ${quantile(latencies, 0.5).toFixed(1)} ms`,
    `p99 ${quantile(latencies, 0.99).toFixed(1)} ms`,
    `certificate ${age}, ${proxies.rotations} rotations`,
    `mTLS ${share.toFixed(0)} %`,
    `spans ${run.collector.spans}`,
    `control plane ${control}`,
  ].join(' | ');
}
