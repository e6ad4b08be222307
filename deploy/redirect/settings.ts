/** What the pod's rules depend on. The flags that set it are in ./flags.ts. */

export type Family = 'ipv4' | 'ipv6';

export interface Settings {
  readonly families: readonly Family[];
  readonly mode: 'redirect' | 'tproxy';
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Traffic to it is a tunnel between proxies: left alone. */
  readonly tunnelPort: number;
  /** Whose traffic is the proxy's own. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  /** Of the proxy's own sockets, where it sets one. */
  readonly proxyMark: number | undefined;
  readonly inbound: 'all' | readonly number[];
  /** With `all`. */
  readonly inboundExcluded: readonly number[];
  readonly outbound: 'all' | readonly string[];
  readonly outboundExcluded: readonly string[];
  readonly outboundPorts: readonly number[];
  readonly outboundPortsExcluded: readonly number[];
  /** What comes in there, from virtual machines, is outbound. */
  readonly virtualInterfaces: readonly string[];
  readonly excludedInterfaces: readonly string[];
  readonly tproxyMark: number;
  readonly routeTable: number;
  /** `undefined`: DNS goes where it goes. */
  readonly dns: { readonly port: number; readonly servers: 'all' | readonly string[] } | undefined;
  readonly dropInvalid: boolean;
}

export const familyOf = (address: string): Family => (address.includes(':') ? 'ipv6' : 'ipv4');
