/** `/clusters`, as text and as envoy.admin.v3.Clusters. */
import type { Address } from '../../../xds-client/model/common.ts';
import type { EndpointFlag, EndpointStatus, ThresholdStatus } from '../../cluster/contract.ts';
import { addressText } from '../../upstream/contract.ts';
import { type Answer, json, nameFilter, type Page, text } from '../page.ts';
import type { AdminSources, ShownCluster } from '../sources.ts';

const COUNTERS = ['cx_connect_fail', 'cx_total', 'rq_error', 'rq_success', 'rq_timeout', 'rq_total'];
const GAUGES = ['cx_active', 'rq_active', 'rq_pending_active'];
const BY_NAME = [...COUNTERS, ...GAUGES].sort();

export function clustersPage(sources: AdminSources): Page {
  return {
    path: '/clusters',
    help: 'upstream cluster status',
    parameters: [
      ['filter', 'Regular expression (RE2) for filtering clusters by name'],
      ['format', 'One of (text, json)'],
    ],
    answer: (parameters) => {
      const filter = nameFilter(parameters.get('filter'));
      if (typeof filter === 'object') return text(`Invalid re2 regex: ${filter.error}\n`, 400);
      const clusters = sources.clusters().filter((cluster) => filter?.(cluster.name) !== false);
      return answer(clusters, parameters.get('format'));
    },
  };
}

function answer(clusters: readonly ShownCluster[], format: string | null): Answer {
  if (format !== 'json') return text(clusterTexts(clusters));
  return json(clusters.length === 0 ? {} : { cluster_statuses: clusters.map(clusterJson) });
}

function* clusterTexts(clusters: readonly ShownCluster[]): Generator<string> {
  for (const cluster of clusters) yield clusterText(cluster);
}

function clusterText(cluster: ShownCluster): string {
  const { name } = cluster;
  let out = `${name}::observability_name::${cluster.observabilityName}\n`;
  out += thresholdText(`${name}::default_priority`, cluster.thresholds.default);
  out += thresholdText(`${name}::high_priority`, cluster.thresholds.high);
  out += `${name}::added_via_api::${cluster.addedViaApi}\n`;
  if (cluster.edsServiceName !== undefined) out += `${name}::eds_service_name::${cluster.edsServiceName}\n`;
  for (const endpoint of cluster.endpoints) out += endpointText(name, endpoint);
  return out;
}

function thresholdText(start: string, limits: ThresholdStatus): string {
  return (
    `${start}::max_connections::${limits.maxConnections}\n` +
    `${start}::max_pending_requests::${limits.maxPendingRequests}\n` +
    `${start}::max_requests::${limits.maxRequests}\n` +
    `${start}::max_retries::${limits.maxRetries}\n`
  );
}

function endpointText(cluster: string, endpoint: EndpointStatus): string {
  const start = `${cluster}::${addressText(endpoint.address)}`;
  let out = '';
  for (const name of BY_NAME) out += `${start}::${name}::${endpoint.stats[name] ?? 0}\n`;
  const { region, zone, subZone } = endpoint.locality;
  return (
    `${out}${start}::hostname::${endpoint.hostname}\n` +
    `${start}::health_flags::${healthFlags(endpoint)}\n` +
    `${start}::weight::${endpoint.weight}\n` +
    `${start}::region::${region}\n${start}::zone::${zone}\n${start}::sub_zone::${subZone}\n` +
    `${start}::canary::${endpoint.canary}\n` +
    `${start}::priority::${endpoint.priority}\n` +
    `${start}::success_rate::-1\n${start}::local_origin_success_rate::-1\n`
  );
}

/** In Envoy's order. */
function healthFlags({ edsHealth, healthFlags: flags }: EndpointStatus): string {
  let text = '';
  if (flags.has('failedActiveHealthCheck')) text += '/failed_active_hc';
  if (flags.has('failedOutlierCheck')) text += '/failed_outlier_check';
  if (edsHealth === 'unhealthy' || edsHealth === 'timeout') text += '/failed_eds_health';
  if (flags.has('degradedActiveHealthCheck')) text += '/degraded_active_hc';
  if (edsHealth === 'degraded') text += '/degraded_eds_health';
  if (flags.has('pendingDynamicRemoval')) text += '/pending_dynamic_removal';
  if (flags.has('pendingActiveHealthCheck')) text += '/pending_active_hc';
  if (flags.has('excludedByImmediateFailure')) text += '/excluded_via_immediate_hc_fail';
  if (flags.has('activeHealthCheckTimeout')) text += '/active_hc_timeout';
  if (edsHealth === 'draining') text += '/eds_status_draining';
  return text === '' ? 'healthy' : text;
}

function clusterJson(cluster: ShownCluster): object {
  return {
    name: cluster.name,
    added_via_api: cluster.addedViaApi || undefined,
    host_statuses: cluster.endpoints.length === 0 ? undefined : cluster.endpoints.map(endpointJson),
    circuit_breakers: {
      thresholds: [
        thresholdJson(cluster.thresholds.default),
        { priority: 'HIGH', ...thresholdJson(cluster.thresholds.high) },
      ],
    },
    observability_name: cluster.observabilityName,
    eds_service_name: cluster.edsServiceName,
  };
}

function thresholdJson(limits: ThresholdStatus): object {
  return {
    max_connections: limits.maxConnections,
    max_pending_requests: limits.maxPendingRequests,
    max_requests: limits.maxRequests,
    max_retries: limits.maxRetries,
  };
}

function endpointJson(endpoint: EndpointStatus): object {
  const value = (name: string): string | undefined => {
    const number = endpoint.stats[name] ?? 0;
    return number === 0 ? undefined : String(number);
  };
  const flag = (name: EndpointFlag): true | undefined => endpoint.healthFlags.has(name) || undefined;
  const { region, zone, subZone } = endpoint.locality;
  return {
    address: addressJson(endpoint.address),
    stats: [
      ...COUNTERS.map((name) => ({ value: value(name), name })),
      ...GAUGES.map((name) => ({ type: 'GAUGE', value: value(name), name })),
    ],
    health_status: {
      failed_active_health_check: flag('failedActiveHealthCheck'),
      failed_outlier_check: flag('failedOutlierCheck'),
      // Envoy shows an endpoint whose health EDS leaves open as healthy.
      eds_health_status: endpoint.edsHealth === 'unknown' ? 'HEALTHY' : endpoint.edsHealth.toUpperCase(),
      failed_active_degraded_check: flag('degradedActiveHealthCheck'),
      pending_dynamic_removal: flag('pendingDynamicRemoval'),
      pending_active_hc: flag('pendingActiveHealthCheck'),
      excluded_via_immediate_hc_fail: flag('excludedByImmediateFailure'),
      active_hc_timeout: flag('activeHealthCheckTimeout'),
    },
    weight: endpoint.weight,
    hostname: endpoint.hostname === '' ? undefined : endpoint.hostname,
    priority: endpoint.priority === 0 ? undefined : endpoint.priority,
    locality: {
      region: region === '' ? undefined : region,
      zone: zone === '' ? undefined : zone,
      sub_zone: subZone === '' ? undefined : subZone,
    },
  };
}

/** envoy.config.core.v3.Address. */
export function addressJson(address: Address): object {
  if (address.kind === 'pipe') return { pipe: { path: address.path } };
  return { socket_address: { address: address.host, port_value: address.port } };
}
