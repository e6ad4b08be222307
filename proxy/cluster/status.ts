/** A cluster as the admin pages show it: from what the workers were sent, with the live numbers of the shared cells. */
import type { Endpoint } from '../../xds-client/model/endpoint.ts';
import { addressText } from '../upstream/contract.ts';
import type { ClusterStatus, EndpointFlag } from './contract.ts';
import type { ClusterDirectory, ClusterView } from './directory.ts';
import { checkAddress } from './health.ts';
import { EndpointCell, HealthFlag } from './shared.ts';

// `HealthFlag` has these names and no others.
const FLAGS = Object.keys(HealthFlag) as EndpointFlag[];

/** Every cluster, in the order in which they came. Parses each one: for pages, not for requests. */
export function clusterStatuses(directory: ClusterDirectory): ClusterStatus[] {
  return directory.names().flatMap((name) => {
    const view = directory.view(name);
    return view === undefined ? [] : [clusterStatus(view)];
  });
}

function clusterStatus(view: ClusterView): ClusterStatus {
  const { config, assignment } = view;
  const { discovery } = config;
  return {
    name: config.name,
    observabilityName: config.altStatName ?? config.name,
    edsServiceName:
      discovery.kind === 'eds' && discovery.serviceName !== config.name ? discovery.serviceName : undefined,
    thresholds: config.thresholds,
    endpoints: (assignment?.localities ?? []).flatMap(({ locality, priority, endpoints }) =>
      endpoints.map((endpoint) => {
        const cell = reader(view, addressText(endpoint.address));
        const flags = cell(EndpointCell.healthFlags);
        return {
          address: endpoint.address,
          hostname: endpoint.hostname,
          locality,
          priority,
          weight: endpoint.weight,
          canary: endpoint.metadata['envoy.lb']?.canary === true,
          edsHealth: endpoint.health,
          healthCheck: { port: checkPort(endpoint), hostname: endpoint.healthCheck?.hostname ?? '' },
          healthFlags: new Set(FLAGS.filter((name) => (flags & HealthFlag[name]) !== 0)),
          stats: {
            cx_active: cell(EndpointCell.connectionsActive),
            cx_connect_fail: cell(EndpointCell.connectFailures),
            cx_total: cell(EndpointCell.connections),
            rq_active: cell(EndpointCell.requestsActive),
            rq_error: cell(EndpointCell.errors),
            rq_pending_active: cell(EndpointCell.pendingActive),
            rq_success: cell(EndpointCell.successes),
            rq_timeout: cell(EndpointCell.timeouts),
            rq_total: cell(EndpointCell.requests),
          },
        };
      }),
    ),
  };
}

/** As Envoy shows it: the port of an address that is not the endpoint's. */
function checkPort(endpoint: Endpoint): number | undefined {
  const asked = checkAddress(endpoint);
  const elsewhere = addressText(asked) !== addressText(endpoint.address);
  return elsewhere && asked.kind === 'socket' ? asked.port : undefined;
}

/** Reads the endpoint's cells as the unsigned numbers that they are. */
function reader(view: ClusterView, address: string): (cell: number) => number {
  const slot = view.endpoint(address);
  return (cell) => (slot === undefined ? 0 : Atomics.load(slot.cells, slot.base + cell) >>> 0);
}
