/** Opens one socket to an endpoint, with TLS where the pool has it. Verification is the connection's business. */
import { connect, type IpcNetConnectOpts, type OnReadOpts, type Socket, type TcpNetConnectOpts } from 'node:net';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { Address } from '../../xds-client/model/common.ts';
import type { PoolContext } from './pool-context.ts';

/** Where a connection goes and how it is wrapped: a pool's context, or what stands in for one off the data path. */
export interface DialContext extends Pick<PoolContext, 'config' | 'tls'> {
  readonly host: { readonly endpoint: { readonly address: Address } };
}

/**
 * Starts connecting and returns at once. The caller waits for `connect`, or with TLS for `secureConnect`.
 * Throws where Node refuses the address outright.
 */
export function dial(context: DialContext, allowHalfOpen: boolean, onread?: OnReadOpts): Socket | TLSSocket {
  const target = endpointOptions(context.host.endpoint.address, context, allowHalfOpen);
  if (onread !== undefined) target.onread = onread;
  if (context.tls === undefined) return connect(target);
  const { context: tls, sni, alpn } = context.tls;
  const options: ConnectionOptions = { ...tls.connectOptions(sni, alpn), ...target };
  const socket = tlsConnect(options);
  tls.started?.(socket);
  return socket;
}

function endpointOptions(
  address: Address,
  context: DialContext,
  allowHalfOpen: boolean,
): TcpNetConnectOpts | IpcNetConnectOpts {
  if (address.kind === 'pipe') return { path: address.path.replace(/^@/, '\0'), allowHalfOpen };
  const { sourceAddress, tcpKeepalive } = context.config;
  const options: TcpNetConnectOpts = { host: address.host, port: address.port, noDelay: true, allowHalfOpen };
  if (sourceAddress?.kind === 'socket') {
    options.localAddress = sourceAddress.host;
    if (sourceAddress.port !== 0) options.localPort = sourceAddress.port;
  }
  if (tcpKeepalive !== undefined) {
    options.keepAlive = true;
    // Node sets the idle time only; interval and probes stay the kernel's.
    if (tcpKeepalive.timeS !== undefined) options.keepAliveInitialDelay = tcpKeepalive.timeS * 1000;
  }
  return options;
}
