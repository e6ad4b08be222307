/** Heads for tests. */
import { HeaderMap, type RequestHead, type ResponseHead } from '../../proxy/http/headers.ts';

export type Fields = readonly (readonly [string, string])[];

function map(fields: Fields): HeaderMap {
  const headers = new HeaderMap();
  for (const [name, value] of fields) headers.add(name, value);
  return headers;
}

export function response(status: number, fields: Fields = []): ResponseHead {
  return { status, headers: map(fields) };
}

export function request(parts: Partial<Omit<RequestHead, 'headers'>> = {}, fields: Fields = []): RequestHead {
  return {
    method: 'GET',
    path: '/',
    authority: 'a',
    scheme: 'http',
    version: 11,
    protocol: undefined,
    headers: map(fields),
    ...parts,
  };
}
