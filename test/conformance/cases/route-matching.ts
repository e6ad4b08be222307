import { http, type Suite } from '../harness/case.ts';
import { get } from '../harness/client.ts';

/** Which route takes a request. */
export const suite: Suite = {
  name: 'route matching',
  upstreams: ['a', 'b'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], b: ['b'] },
    routes: {
      virtual_hosts: [
        {
          name: 'exact',
          domains: ['exact.test'],
          routes: [
            { name: 'path', match: { path: '/exact' }, route: { cluster: 'b' } },
            { name: 'separated', match: { path_separated_prefix: '/sep' }, route: { cluster: 'b' } },
            { name: 'regex', match: { safe_regex: { regex: '/r/[0-9]+' } }, route: { cluster: 'b' } },
            {
              name: 'header',
              match: { prefix: '/h', headers: [{ name: 'x-kind', string_match: { exact: 'b' } }] },
              route: { cluster: 'b' },
            },
            {
              name: 'query',
              match: { prefix: '/q', query_parameters: [{ name: 'kind', string_match: { exact: 'b' } }] },
              route: { cluster: 'b' },
            },
          ],
        },
        { name: 'suffix', domains: ['*.suffix.test'], routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] },
        { name: 'prefix', domains: ['prefix.*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'b' } }] },
      ],
    },
  }),
  cases: [
    { name: 'an exact path', client: get('/exact?x=1', { host: 'exact.test' }) },
    { name: 'an exact path is not a prefix', client: get('/exact/more', { host: 'exact.test' }) },
    { name: 'a separated prefix takes the path itself', client: get('/sep', { host: 'exact.test' }) },
    { name: 'a separated prefix takes what is below', client: get('/sep/x', { host: 'exact.test' }) },
    { name: 'a separated prefix does not take a longer word', client: get('/separate', { host: 'exact.test' }) },
    { name: 'a regex matches the whole path', client: get('/r/12', { host: 'exact.test' }) },
    { name: 'a regex does not match a part', client: get('/r/12x', { host: 'exact.test' }) },
    { name: 'a header', client: get('/h', { host: 'exact.test', 'x-kind': 'b' }) },
    { name: 'a header of another value', client: get('/h', { host: 'exact.test', 'x-kind': 'a' }) },
    { name: 'a query parameter', client: get('/q?kind=b&z=1', { host: 'exact.test' }) },
    { name: 'a suffix domain', client: get('/', { host: 'x.suffix.test' }) },
    { name: 'a prefix domain', client: get('/', { host: 'prefix.anything' }) },
    { name: 'no domain', client: get('/', { host: 'nobody.test' }) },
    { name: 'a domain in capitals', client: get('/exact', { host: 'EXACT.test' }) },
  ],
};
