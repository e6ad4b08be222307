import type { TcpProxy } from '../../../../xds-client/model/tcp-proxy.ts';
import type { AccessLogFactory } from '../../../observe/access-log/contract.ts';
import type { ClusterTable } from '../../../upstream/contract.ts';
import type { ListenerContext, NetworkFilterInstance, TerminalFilterFactory } from '../contract.ts';
import { logRefused, type SessionSettings, TcpSession } from './session.ts';
import { TCP_PROXY_STATS, tcpStat } from './stats.ts';

const CX_TOTAL = tcpStat('downstream_cx_total');

export interface TcpProxyDependencies {
  readonly clusters: ClusterTable;
  readonly accessLogs: AccessLogFactory;
}

/** envoy.filters.network.tcp_proxy. */
export class TcpProxyFactory implements TerminalFilterFactory<TcpProxy> {
  private readonly dependencies: TcpProxyDependencies;

  constructor(dependencies: TcpProxyDependencies) {
    this.dependencies = dependencies;
  }

  build(config: TcpProxy, context: ListenerContext): NetworkFilterInstance {
    const { clusters, accessLogs } = this.dependencies;
    const stats = context.stats.block(`tcp.${config.statPrefix}.`, TCP_PROXY_STATS);
    const settings: SessionSettings = {
      stats,
      accessLogs: accessLogs.create(config.accessLogs),
      idleTimeoutMs: config.idleTimeoutMs,
      maxConnectAttempts: config.maxConnectAttempts,
      maxDurationMs: config.maxDownstreamConnectionDurationMs,
      now: () => context.now(),
    };
    return {
      accept(socket, info) {
        const session = new TcpSession(settings, socket, info);
        session.start(clusters.get(info.tcpCluster ?? chooseCluster(config.clusters, context.random())));
        return session;
      },
      greet(socket, info, events) {
        const session = new TcpSession(settings, socket, info);
        session.greet(clusters.get(info.tcpCluster ?? chooseCluster(config.clusters, context.random())), events);
        return session;
      },
      refused(info, why) {
        stats.inc(CX_TOTAL);
        logRefused(settings, info, why);
      },
      close: () => stats.release(),
    };
  }
}

/** By weight; `drawn` is uniform in [0, 1). */
export function chooseCluster(clusters: TcpProxy['clusters'], drawn: number): string {
  let left = drawn * clusters.reduce((sum, { weight }) => sum + weight, 0);
  for (const { name, weight } of clusters) {
    left -= weight;
    if (left < 0) return name;
  }
  return clusters.at(-1)?.name ?? '';
}
