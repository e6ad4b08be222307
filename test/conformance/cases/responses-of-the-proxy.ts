import { http, type Suite } from '../harness/case.ts';
import { get } from '../harness/client.ts';

/** What the proxy itself answers: direct responses, redirects, no route, no cluster, no endpoint. */
export const suite: Suite = {
  name: 'responses of the proxy',
  upstreams: ['a', 'refused'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'], refused: ['refused'], empty: [] },
    routes: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              name: 'direct',
              match: { path: '/direct' },
              direct_response: { status: 200, body: { inline_string: 'hello' } },
            },
            { match: { path: '/direct-empty' }, direct_response: { status: 204 } },
            { match: { path: '/direct-400' }, direct_response: { status: 400, body: { inline_string: 'bad' } } },
            { match: { path: '/direct-403' }, direct_response: { status: 403, body: { inline_string: 'no' } } },
            { name: 'redirect', match: { path: '/redirect' }, redirect: { path_redirect: '/there' } },
            {
              match: { path: '/redirect-host' },
              redirect: { host_redirect: 'else.test', response_code: 'TEMPORARY_REDIRECT' },
            },
            { match: { path: '/redirect-https' }, redirect: { https_redirect: true } },
            { match: { path: '/redirect-port' }, redirect: { port_redirect: 8443, scheme_redirect: 'https' } },
            { match: { prefix: '/redirect-prefix' }, redirect: { prefix_rewrite: '/new' } },
            { match: { prefix: '/redirect-strip' }, redirect: { path_redirect: '/there', strip_query: true } },
            {
              match: { prefix: '/redirect-regex' },
              redirect: {
                regex_rewrite: { pattern: { regex: '^/redirect-regex/([^?]+)' }, substitution: '/got/\\1' },
                response_code: 'PERMANENT_REDIRECT',
              },
            },
            { match: { path: '/refused' }, route: { cluster: 'refused' } },
            { match: { path: '/empty' }, route: { cluster: 'empty' } },
            { match: { path: '/unknown-cluster' }, route: { cluster_header: 'x-cluster' } },
            {
              match: { path: '/unknown-404' },
              route: { cluster_header: 'x-cluster', cluster_not_found_response_code: 'NOT_FOUND' },
            },
            { match: { path: '/known' }, route: { cluster: 'a' } },
          ],
        },
      ],
    },
  }),
  cases: [
    { name: 'a direct response', client: get('/direct') },
    { name: 'a direct response to HEAD', client: get('/direct', {}, 'HEAD') },
    { name: 'a direct response without a body', client: get('/direct-empty') },
    { name: 'a direct response with an error status', client: get('/direct-403') },
    { name: 'a direct response of 400 ends its connection', client: get('/direct-400') },
    { name: 'a redirect of the path', client: get('/redirect?q=1') },
    { name: 'a redirect of the host keeps path and query', client: get('/redirect-host?q=1') },
    { name: 'a redirect to https', client: get('/redirect-https') },
    { name: 'a redirect to https drops port 80', client: get('/redirect-https', { host: 'x.test:80' }) },
    { name: 'a redirect to another port', client: get('/redirect-port', { host: 'x.test:8080' }) },
    { name: 'a redirect of a prefix', client: get('/redirect-prefix/more?q=1') },
    { name: 'a redirect without the query', client: get('/redirect-strip?q=1') },
    { name: 'a redirect by pattern', client: get('/redirect-regex/a/b?q=1') },
    { name: 'no route', client: get('/nowhere') },
    {
      name: 'an endpoint that refuses the connection',
      client: get('/refused'),
      upstreams: { refused: 'refuse-connections' },
    },
    { name: 'a cluster without endpoints', client: get('/empty') },
    { name: 'a cluster that does not exist', client: get('/unknown-cluster', { 'x-cluster': 'nobody' }) },
    { name: 'a cluster that does not exist, answered 404', client: get('/unknown-404', { 'x-cluster': 'nobody' }) },
    { name: 'a cluster header that is not there', client: get('/unknown-cluster') },
    { name: 'a cluster named by a header', client: get('/unknown-cluster', { 'x-cluster': 'a' }) },
  ],
};
