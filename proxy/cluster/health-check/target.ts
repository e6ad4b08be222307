/** An endpoint as its checker sees it: where it is, what it is called, and how connections to it are wrapped. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Cluster } from '../../../xds-client/model/cluster.ts';
import type { Endpoint } from '../../../xds-client/model/endpoint.ts';
import type { HealthCheck } from '../../../xds-client/model/health-check.ts';
import type { TransportSocket, UpstreamTls } from '../../../xds-client/model/tls.ts';
import type { StatsStore } from '../../observe/stats/contract.ts';
import type { Life, TlsProvider, UpstreamTlsContext } from '../../tls/contract.ts';
import { type DialContext, dial } from '../../upstream/dial.ts';
import { type SslStats, sslStats } from '../../upstream/pool-context.ts';
import { checkAddress } from '../health.ts';
import { statPrefix } from '../stats.ts';
import { serverNames, transportSocketOf } from '../wrapping.ts';
import type { CheckResult, CheckTarget, DialEvents, Dialed } from './contract.ts';

/** TLS contexts of one cluster's checks: one a transport socket, with the sessions that it keeps. */
export class CheckWrapping {
  private readonly cluster: Cluster;
  private readonly check: HealthCheck;
  private readonly tls: TlsProvider;
  private readonly contexts = new Map<UpstreamTls, UpstreamTlsContext>();
  private readonly stats: StatsStore;
  private ssl: SslStats | undefined = undefined;

  constructor(cluster: Cluster, check: HealthCheck, tls: TlsProvider, stats: StatsStore) {
    this.cluster = cluster;
    this.check = check;
    this.tls = tls;
    this.stats = stats;
  }

  /** `cluster.<name>.ssl.`: handshakes of checks count as all others. */
  get sslStats(): SslStats {
    this.ssl ??= sslStats(statPrefix(this.cluster), this.stats);
    return this.ssl;
  }

  release(): void {
    this.ssl?.release();
  }

  socketOf(endpoint: Endpoint): TransportSocket<UpstreamTls> {
    const { socketMatch } = this.check;
    if (socketMatch === undefined) return transportSocketOf(this.cluster, endpoint);
    const metadata = { ...endpoint.metadata, 'envoy.transport_socket_match': socketMatch };
    return transportSocketOf(this.cluster, { ...endpoint, metadata });
  }

  /** What `dial` takes; `alpn`: offered where the configuration names no protocol. */
  context(endpoint: Endpoint, alpn: readonly string[]): DialContext {
    const address = checkAddress(endpoint);
    const socket = this.socketOf(endpoint);
    const host = { endpoint: { address } };
    if (socket.kind === 'raw') return { config: this.cluster, host, tls: undefined };
    const { tls } = socket;
    let context = this.contexts.get(tls);
    if (context === undefined) {
      context = this.tls.upstream(tls);
      this.contexts.set(tls, context);
    }
    const { sni, expectedSan } = serverNames(this.cluster, tls, endpoint, undefined);
    const own = this.check.alpn.length === 0 && tls.common.alpnProtocols.length > 0;
    return { config: this.cluster, host, tls: { context, sni, expectedSan, alpn: own ? undefined : alpn } };
  }
}

export interface TargetOptions {
  readonly cluster: Cluster;
  readonly check: HealthCheck;
  /** As it is configured now. */
  readonly endpoint: () => Endpoint;
  readonly wrapping: CheckWrapping;
  readonly onVerify: () => void;
  readonly onProtocolError: () => void;
  readonly report: (result: CheckResult) => void;
}

export function checkTarget(options: TargetOptions): CheckTarget {
  const { cluster, check, endpoint, wrapping, onVerify, onProtocolError, report } = options;
  return {
    authority: (configured) => endpoint().healthCheck?.hostname || configured || cluster.name,
    get scheme() {
      return wrapping.socketOf(endpoint()).kind === 'tls' ? 'https' : 'http';
    },
    timeoutMs: check.timeoutMs,
    reuseConnection: check.reuseConnection,
    onVerify,
    onProtocolError,
    report,
    dial: (alpn, events) =>
      connectTo(cluster.name, wrapping.context(endpoint(), alpn), () => wrapping.sslStats, events),
  };
}

/** Throws where Node refuses the address, or while TLS material is missing. */
function connectTo(cluster: string, context: DialContext, ssl: () => SslStats, events: DialEvents): Dialed {
  const socket: Socket = dial(context, false);
  let over = false;
  let stale = false;
  let life: Life | undefined;
  const close = (): void => {
    if (over) return;
    over = true;
    socket.destroy();
    events.onClosed();
  };
  const { tls } = context;
  let handshaking = false;
  socket.on('error', (error) => {
    if (handshaking && !over) ssl().failed(error);
  });
  socket.on('close', () => {
    life?.release();
    close();
  });
  socket.once('connect', () => {
    handshaking = tls !== undefined;
    if (tls === undefined) events.onReady(socket);
  });
  socket.once('secureConnect', () => {
    if (over || tls === undefined || !(socket instanceof TLSSocket)) return;
    handshaking = false;
    const refusal = tls.context.verify(socket, tls.expectedSan);
    if (refusal !== undefined) {
      ssl().refused(refusal);
      close();
      return;
    }
    ssl().handshake(socket, tls.context.info(socket));
    life = tls.context.admit?.(
      socket,
      {
        retires: true,
        retire: (why) => {
          stale = true;
          ssl().ended(why);
        },
        // without a word: nobody's health depends on it any more
        cut: () => {
          over = true;
          socket.destroy();
        },
        describe: () => `cluster "${cluster}": connection of a health check`,
      },
      tls.expectedSan,
    );
    events.onReady(socket);
  });
  return {
    get stale() {
      return stale;
    },
    destroy: () => {
      over = true;
      socket.destroy();
    },
  };
}
