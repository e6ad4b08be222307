/** What a request's head is made to look like, or refused for, before anything else reads it. */
import type { HttpConnectionManager } from '../../../../xds-client/model/http-connection-manager.ts';
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import type { RequestHead } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { type PathResult, preparePath, stripPort, stripTrailingHostDot } from '../../../route/path.ts';

/** Normalizes the path; `undefined`: the request goes on with it. */
export function settlePath(info: StreamInfo, config: HttpConnectionManager): PathResult | undefined {
  const head = info.request;
  if (!config.normalizePath && !config.mergeSlashes && config.escapedSlashes === 'keep') return undefined;
  if (head.path === '') return undefined;
  const normalized = preparePath(head.path, config);
  head.path = normalized.path;
  // From here on there is no other path: matching, logs and spans see what the upstream sees.
  info.originalPath = normalized.path;
  return normalized.kind === 'path' ? undefined : normalized;
}

/** Takes port and trailing dot off the authority, as far as the configuration says. */
export function settleAuthority(head: RequestHead, config: HttpConnectionManager, localPort: number): void {
  if (config.stripPort === 'no' && !config.stripTrailingHostDot) return;
  const authority = stripPort(head.authority, config.stripPort, localPort);
  head.authority = config.stripTrailingHostDot ? stripTrailingHostDot(authority) : authority;
}

/** What the request wants to become: the token of its `Upgrade`, or `CONNECT`. */
export function upgradeOf(head: RequestHead): string | undefined {
  return head.protocol ?? (head.method === 'CONNECT' ? 'connect' : undefined);
}

/** Whether a request may become another protocol: the route's word counts before the connection manager's. */
export function upgradeAllowed(
  protocol: string,
  action: RouteAction | undefined,
  config: HttpConnectionManager,
): boolean {
  const wanted = protocol.toLowerCase();
  const own = action?.upgrades.find((upgrade) => upgrade.type.toLowerCase() === wanted);
  if (own !== undefined) return own.enabled;
  return config.upgrades.some((upgrade) => upgrade.enabled && upgrade.type.toLowerCase() === wanted);
}
