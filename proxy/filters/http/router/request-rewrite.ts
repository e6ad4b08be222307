/** Path and host as the upstream gets them, with the originals kept in `x-envoy-original-*`. */
import type { RouteAction } from '../../../../xds-client/model/route.ts';
import type { RequestHead } from '../../../http/headers.ts';

export function setPath(head: RequestHead, path: string): void {
  if (path === head.path) return;
  head.headers.set('x-envoy-original-path', head.path);
  head.path = path;
}

export function setAuthority(action: RouteAction, head: RequestHead, authority: string): void {
  const { headers } = head;
  if (action.appendXForwardedHost && head.authority !== '') {
    const before = headers.joined('x-forwarded-host');
    headers.set('x-forwarded-host', before === undefined ? head.authority : `${before},${head.authority}`);
  }
  if (!headers.has('x-envoy-original-host')) headers.add('x-envoy-original-host', head.authority);
  head.authority = authority;
}
