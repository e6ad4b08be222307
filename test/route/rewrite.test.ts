import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderMutation, headerLevels } from '../../proxy/route/headers.ts';
import { normalizePath, preparePath, stripPort, stripTrailingHostDot } from '../../proxy/route/path.ts';
import { redirectLocation, rewriteHost, rewritePath } from '../../proxy/route/rewrite.ts';
import { compileRoutes } from '../../proxy/route/table.ts';
import { chooseCluster } from '../../proxy/route/weighted.ts';
import type { HeaderToAdd } from '../../xds-client/model/common.ts';
import type { PathMatch, RedirectAction, WeightedCluster } from '../../xds-client/model/route.ts';
import { action, add, configuration, get, match, NO_CHANGES, redirect, route, virtualHost } from './build.ts';

const prefix = (value: string): PathMatch => ({ kind: 'prefix', value, ignoreCase: false });

describe('a rewrite', () => {
  it('replaces what was matched and keeps the query', () => {
    const to = action({ prefixRewrite: '/full' });
    assert.equal(rewritePath(to, prefix('/a'), '/abc?q=/a'), '/fullbc?q=/a');
    assert.equal(rewritePath(to, { kind: 'exact', value: '/e1', ignoreCase: false }, '/e1?q=1'), '/full?q=1');
    assert.equal(rewritePath(to, { kind: 'regex', value: '/g/.*' }, '/g/abc?q=1'), '/full?q=1');
    assert.equal(rewritePath(action(), prefix('/a'), '/a?b'), '/a?b');
  });

  it('replaces by RE2 patterns as Envoy does', () => {
    const by = (regex: string, substitution: string, path: string) =>
      rewritePath(action({ regexRewrite: { regex, substitution } }), prefix('/'), path);
    assert.equal(by('^/g3/([^/]+)(/.*)$', '\\2/instance/\\1$x', '/g3/foo/v1/api?q'), '/v1/api/instance/foo$x?q');
    assert.equal(by('[0-9]+', 'N', '/a12b3?4'), '/aNbN?4');
    assert.equal(by('[0-9]*', 'N', '/g2/a12b?q=1'), 'N/NgN/NaNbN?q=1');
  });

  it('gives the host by literal, header and path', () => {
    const head = get('/h/pay.example/x?y', 'a', [['x-host', 'b']]);
    assert.equal(rewriteHost(action({ hostRewrite: { kind: 'literal', value: 'l' } }), head), 'l');
    assert.equal(rewriteHost(action({ hostRewrite: { kind: 'header', name: 'x-host' } }), head), 'b');
    const rewrite = { regex: '^/h/([^/]+)/.*$', substitution: '\\1' };
    assert.equal(rewriteHost(action({ hostRewrite: { kind: 'path-regex', rewrite } }), head), 'pay.example');
    assert.equal(rewriteHost(action({ hostRewrite: { kind: 'auto' } }), head), undefined);
  });
});

describe('a redirect', () => {
  it('points where Envoy points', () => {
    const cases: [Partial<RedirectAction>, string, string, string][] = [
      [{ path: '/new' }, '/r1/x?y=1', 'a', 'http://a/new?y=1'],
      [{ path: '/new?z=1', stripQuery: true }, '/r2?y=1', 'a', 'http://a/new?z=1'],
      [{ prefixRewrite: '/pp', stripQuery: true }, '/r/x?y=1', 'a', 'http://a/pp/x'],
      [{ httpsRedirect: true }, '/r/x?y', 'a:80', 'https://a/r/x?y'],
      [{ httpsRedirect: true }, '/r/x?y', 'a:8080', 'https://a:8080/r/x?y'],
      [{ port: 8443 }, '/r', 'a:80', 'http://a:8443/r'],
      [{ port: 8443 }, '/r', '[::1]:80', 'http://[::1]:8443/r'],
      [{ host: 'h.com:99', port: 8443 }, '/r', 'a', 'http://h.com:99:8443/r'],
      [{ regexRewrite: { regex: '/r/(.*)', substitution: '/x/\\1' } }, '/r/a/b?c', 'a', 'http://a/x/a/b?c'],
      [{ scheme: 'https' }, '/r/x', 'a:80', 'https://a/r/x'],
      [{ prefixRewrite: '/' }, '/r/x?y', 'a', 'http://a//x?y'],
    ];
    for (const [parts, path, authority, expected] of cases) {
      assert.equal(redirectLocation(redirect(parts), prefix('/r'), get(path, authority)), expected);
    }
  });
});

describe('a path', () => {
  const all = { normalizePath: true, mergeSlashes: true, escapedSlashes: 'unescape-forward' } as const;

  it('is prepared as Envoy prepares it', () => {
    const cases = {
      '/a/./b/../c': '/a/c',
      '/a/%2e%2e/c': '/c',
      '/%41%7e%2d': '/A~-',
      '/a//b///c//': '/a/b/c/',
      '/a%2fb%5cc': '/a/b/c',
      '/a\\b': '/a/b',
      '/a"<>`{}|^b': '/a%22%3C%3E%60%7B%7D%7C%5Eb',
      '/a%zz': '/a%zz',
      '/..': '/',
      '/a/..?x=/../': '/?x=/../',
      '//x//?a=//': '/x/?a=//',
      '/%2E/x': '/x',
      "/a;b=c/,!$&'()*+@:": "/a;b=c/,!$&'()*+@:",
      '/a/..;/b': '/b',
      '/a/.;x/b': '/a/b',
      '/a/..;': '/',
      '/a;/../b': '/b',
      '/..a/b': '/..a/b',
      '/a/b/..': '/a/',
      '/a/b/.': '/a/b/',
      '/a//../b': '/a/b',
      '/%5B%20%22%2B%3A%40%2F': '/%5B%20%22%2B%3A%40/',
      '/a%5c..%5cb': '/b',
      '/%7f%80%1f': '/%7f%80%1f',
      '/%2541': '/%2541',
      '/a%': '/a%',
      '/a/..%2fb': '/b',
      '/a/...;/b': '/a/...;/b',
    };
    for (const [path, expected] of Object.entries(cases)) {
      assert.deepEqual(preparePath(path, all), { kind: 'path', path: expected }, path);
    }
    assert.deepEqual(preparePath('/%00', all), { kind: 'reject', path: '/%00' });
  });

  it('has no escaped dot segment left that an application would resolve', () => {
    assert.equal(normalizePath('/pay/%2e%2e;x/admin'), '/admin');
  });

  it('with escaped slashes is kept, refused or redirected as configured', () => {
    const only = { normalizePath: false, mergeSlashes: false };
    assert.deepEqual(preparePath('/a%2Fb', { ...only, escapedSlashes: 'keep' }), { kind: 'path', path: '/a%2Fb' });
    assert.deepEqual(preparePath('/a%2Fb?c', { ...only, escapedSlashes: 'reject' }), {
      kind: 'reject',
      path: '/a/b?c',
    });
    assert.deepEqual(preparePath('/a?%2F', { ...only, escapedSlashes: 'reject' }), { kind: 'path', path: '/a?%2F' });
    const redirected = preparePath('/a%5cb?c', { ...only, escapedSlashes: 'unescape-redirect' });
    assert.deepEqual(redirected, { kind: 'redirect', path: '/a\\b?c' });
  });

  it('loses port and dot of its authority as configured', () => {
    assert.equal(stripPort('a:80', 'matching', 80), 'a');
    assert.equal(stripPort('a:81', 'matching', 80), 'a:81');
    assert.equal(stripPort('[::1]:81', 'any', 80), '[::1]');
    assert.equal(stripPort('[::1]', 'any', 80), '[::1]');
    assert.equal(stripPort('a:', 'any', 80), 'a:');
    assert.equal(stripTrailingHostDot('a.com.:80'), 'a.com:80');
    assert.equal(stripTrailingHostDot('a.com.'), 'a.com');
  });
});

describe('header changes', () => {
  const level = (name: string, adds: readonly HeaderToAdd[] = []) => ({
    ...NO_CHANGES,
    requestAdd: [add('lvl', name), ...adds],
  });
  const weighted: WeightedCluster = {
    name: 'c',
    weight: 1,
    headers: level('cluster'),
    hostRewrite: undefined,
    metadataMatch: undefined,
    perFilterConfig: {},
  };

  function applied(most: boolean, adds: readonly HeaderToAdd[], fields: [string, string][]): string {
    const r = route('r', match('/'), { headers: { ...level('route', adds), requestRemove: ['gone'] } });
    const host = virtualHost('v', ['*'], [r], { headers: level('vhost') });
    const table = compileRoutes(
      configuration([host], { headers: level('config'), mostSpecificHeaderMutationsWins: most }),
    );
    const head = get('/', 'a', fields);
    const decision = table.match(head, undefined, 0);
    assert.ok(decision);
    for (const { requestRemove, requestAdd } of headerLevels(decision, weighted)) {
      const changes = new HeaderMutation(
        requestRemove,
        requestAdd,
        (value) => (context: string) => value.replace('%C%', context),
      );
      changes.apply(head.headers, 'ctx');
    }
    return head.headers.names.map((name, i) => `${name}=${head.headers.values[i]}`).join(' ');
  }

  it('go from the most specific level to the least, or the other way round but for the weighted cluster', () => {
    assert.equal(applied(false, [], []), 'lvl=cluster lvl=route lvl=vhost lvl=config');
    assert.equal(applied(true, [], []), 'lvl=cluster lvl=config lvl=vhost lvl=route');
  });

  it('see the fields as they came, not what another of their level wrote', () => {
    const adds = [
      add('x', 'new', 'overwrite-or-add'),
      add('x', 'more', 'add-if-absent'),
      add('y', '1', 'overwrite-if-exists'),
    ];
    assert.equal(
      applied(false, [...adds, add('y', '2')], [])
        .match(/x=\w+|y=\w+/g)
        ?.join(' '),
      'x=new x=more y=2',
    );
  });

  it('remove first, then overwrite, then add', () => {
    const adds = [
      add('y', 'r1'),
      add('y', 'r2', 'overwrite-or-add'),
      add('z', 'r', 'add-if-absent'),
      add('w', 'r', 'overwrite-if-exists'),
      add('e', ''),
      add('f', '%C%'),
      add('gone', 'back'),
      add('u', 'é'),
    ];
    const made = applied(false, adds, [
      ['gone', '1'],
      ['z', '0'],
      ['y', '0'],
    ]);
    assert.equal(made, 'z=0 y=r2 lvl=cluster lvl=route y=r1 f=ctx gone=back u=\u00c3\u00a9 lvl=vhost lvl=config');
  });
});

describe('a weighted choice', () => {
  const entry = (name: string, weight: number): WeightedCluster => ({
    name,
    weight,
    headers: NO_CHANGES,
    hostRewrite: undefined,
    metadataMatch: undefined,
    perFilterConfig: {},
  });
  const clusters = [entry('a', 90), entry('none', 0), entry('b', 10)];

  it('follows the random number, or the header that brings it', () => {
    const by = action({ cluster: { kind: 'weighted', clusters, totalWeight: 100, headerName: undefined } });
    assert.equal(chooseCluster(by, get('/'), 0).name, 'a');
    assert.equal(chooseCluster(by, get('/'), 0.8999).name, 'a');
    assert.equal(chooseCluster(by, get('/'), 0.9).name, 'b');
    assert.equal(chooseCluster(by, get('/'), 0.9), chooseCluster(by, get('/'), 0.99));
    const given = action({ cluster: { kind: 'weighted', clusters, totalWeight: 100, headerName: 'x-r' } });
    assert.equal(chooseCluster(given, get('/', 'a', [['x-r', '195']]), 0).name, 'b');
  });

  it('is the name or the header otherwise', () => {
    assert.equal(chooseCluster(action(), get('/'), 0).name, 'c');
    const header = action({ cluster: { kind: 'header', header: 'x-c' } });
    assert.equal(chooseCluster(header, get('/', 'a', [['x-c', 'z']]), 0).name, 'z');
    assert.equal(chooseCluster(header, get('/'), 0).name, undefined);
  });
});
