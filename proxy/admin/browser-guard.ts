/**
 * Keeps web pages away from the admin interface. It has no password and stands on loopback, where any page that a
 * person on this machine opens can send requests to it. Tools (curl, Prometheus, a control plane's agent) send none of
 * the headers looked at here and are never refused.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Why a request is refused; `undefined` lets it through. */
export function browserRefusal(headers: IncomingHttpHeaders): string | undefined {
  const site = headers['sec-fetch-site'];
  const { origin, host } = headers;
  if (site === undefined && origin === undefined) return undefined;
  // A name that somebody else's DNS points here makes their page same-origin with us.
  if (!isLiteral(host)) return `refused for a browser: host "${host ?? ''}" is neither localhost nor an address`;
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return `refused for a browser: the request is ${site}`;
  if (origin !== undefined && origin !== `http://${host}`) return 'refused for a browser: the origin is another site';
  return undefined;
}

function isLiteral(host: string | undefined): boolean {
  if (host === undefined) return false;
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}
