/** The proxy_protocol listener filter: which headers a listener takes, and what it counts. */
import type { ProxyProtocol } from '../../xds-client/model/listener.ts';
import type { StatBlock, StatsStore } from '../observe/stats/contract.ts';
import { type ProxyHeader, readProxyHeader } from './proxy-protocol.ts';
import { PROXY_ERROR_STATS, PROXY_PROTOCOL_STATS, proxyProtocolStat } from './stats.ts';

const STATS = {
  1: {
    found: proxyProtocolStat('versions.v1.found'),
    error: proxyProtocolStat('versions.v1.error'),
    disallowed: proxyProtocolStat('versions.v1.disallowed'),
  },
  2: {
    found: proxyProtocolStat('versions.v2.found'),
    error: proxyProtocolStat('versions.v2.error'),
    disallowed: proxyProtocolStat('versions.v2.disallowed'),
  },
} as const;
const NOT_FOUND_ALLOWED = proxyProtocolStat('not_found_allowed');
const NOT_FOUND_DISALLOWED = proxyProtocolStat('not_found_disallowed');

export class ProxyGate {
  readonly #config: ProxyProtocol;
  readonly #stats: StatBlock;
  readonly #errors: StatBlock;

  constructor(config: ProxyProtocol, stats: StatsStore) {
    this.#config = config;
    const { statPrefix } = config;
    this.#stats = stats.block(statPrefix === '' ? 'proxy_proto.' : `proxy_proto.${statPrefix}.`, PROXY_PROTOCOL_STATS);
    this.#errors = stats.block('', PROXY_ERROR_STATS);
  }

  /** `none`: there is no header, and none is needed. `refused`: the connection is to be closed. Each end is counted. */
  read(bytes: Buffer): ProxyHeader | 'more' | 'none' | 'refused' {
    const result = readProxyHeader(bytes);
    switch (result.kind) {
      case 'more':
        return 'more';
      case 'header':
        this.#stats.inc(STATS[result.version].found);
        if (!this.#config.disallowedVersions.includes(result.version)) return result;
        this.#stats.inc(STATS[result.version].disallowed);
        break;
      case 'error':
        this.#stats.inc(STATS[result.version].error);
        break;
      case 'none':
        if (this.#config.allowRequestsWithoutProxyProtocol) {
          this.#stats.inc(NOT_FOUND_ALLOWED);
          return 'none';
        }
        this.#stats.inc(NOT_FOUND_DISALLOWED);
        break;
      case 'endless':
        this.#stats.inc(NOT_FOUND_DISALLOWED);
        break;
    }
    this.#errors.inc(0);
    return 'refused';
  }
}
