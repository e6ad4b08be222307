/** Listeners for tests: configurations, and a terminal filter that answers with its chain's name. */
import type { Socket } from 'node:net';
import type { ListenerContext, NetworkFilterInstance } from '../../proxy/filters/network/contract.ts';
import type { ConnectionInfo } from '../../proxy/http/connection-info.ts';
import type { FilterChain, FilterChainMatch, Listener } from '../../xds-client/model/listener.ts';

export const MATCH_ANY: FilterChainMatch = {
  destinationPort: undefined,
  prefixRanges: [],
  serverNames: [],
  transportProtocol: undefined,
  applicationProtocols: [],
  directSourcePrefixRanges: [],
  sourceType: 'any',
  sourcePrefixRanges: [],
  sourcePorts: [],
};

export const ECHO = 'test.Echo';

/** A chain whose terminal filter is the echo; its name is what it greets with. */
export function rawChain(name: string, match: Partial<FilterChainMatch> = {}): FilterChain {
  return {
    name,
    match: { ...MATCH_ANY, ...match },
    filters: [{ kind: 'extension', name: 'echo', extension: { name: 'echo', typeUrl: ECHO, config: name } }],
    transportSocket: { kind: 'raw' },
    transportSocketConnectTimeoutMs: undefined,
  };
}

export function listener(changes: Partial<Listener> = {}): Listener {
  return {
    name: 'l',
    address: { kind: 'socket', host: '127.0.0.1', port: 0 },
    additionalAddresses: [],
    bindToPort: true,
    useOriginalDst: false,
    transparent: false,
    freebind: false,
    statPrefix: 'test',
    filterChains: [rawChain('a')],
    defaultFilterChain: undefined,
    listenerFilters: [],
    listenerFiltersTimeoutMs: 15_000,
    continueOnListenerFiltersTimeout: false,
    perConnectionBufferLimitBytes: 1024 * 1024,
    drainType: 'default',
    tcpBacklogSize: undefined,
    trafficDirection: 'unspecified',
    accessLogs: [],
    enableReusePort: true,
    ...changes,
  };
}

/** Answers everything with its name in front, and records what it was given. */
export class EchoFilter implements NetworkFilterInstance {
  readonly name: string;
  readonly infos: ConnectionInfo[] = [];
  drained = 0;
  closed = false;
  context: ListenerContext | undefined;

  constructor(name: string) {
    this.name = name;
  }

  accept(socket: Socket, info: ConnectionInfo) {
    this.infos.push(info);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => socket.write(`${this.name}:${chunk.toString()}`));
    socket.on('end', () => socket.end());
    return {
      drain: () => {
        this.drained++;
        socket.end();
      },
      retires: true,
      retire: () => undefined,
      cut: () => socket.destroy(),
      destroy: () => socket.destroy(),
      activeStreams: 1,
    };
  }

  close(): void {
    this.closed = true;
  }
}
