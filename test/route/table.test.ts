import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileRoutes } from '../../proxy/route/table.ts';
import type { HeaderMatch, StringMatch } from '../../xds-client/model/common.ts';
import type { RouteMatch } from '../../xds-client/model/route.ts';
import { configuration, get, match, route, virtualHost } from './build.ts';

const ALL = match('/');

function hostOf(domains: readonly string[], authority: string, ignorePort = false): string | undefined {
  const hosts = domains.map((domain) => virtualHost(domain, [domain], [route('r', ALL)]));
  const table = compileRoutes(configuration(hosts, { ignorePortInHostMatching: ignorePort }));
  return table.match(get('/', authority), undefined, 0)?.virtualHost.name;
}

function matches(routeMatch: RouteMatch, head: ReturnType<typeof get>, random = 0): boolean {
  const table = compileRoutes(configuration([virtualHost('v', ['*'], [route('r', routeMatch)])]));
  return table.match(head, undefined, random) !== undefined;
}

function header(parts: Partial<HeaderMatch>): HeaderMatch {
  const match: HeaderMatch['match'] = { kind: 'present', present: true };
  return { name: 'x', match, invert: false, treatMissingAsEmpty: false, ...parts };
}

function exact(value: string): HeaderMatch['match'] {
  return { kind: 'string', string: { kind: 'exact', value, ignoreCase: false } };
}

describe('virtual hosts', () => {
  const domains = ['*', 'foo.*', 'foo.bar.*', '*.com', '*-x.bar.com', '*.bar.com', 'a.bar.com', 'p.com:80'];

  it('are chosen exact first, then by the longest suffix, the longest prefix and *', () => {
    const cases = {
      'a.bar.com': 'a.bar.com',
      'A.BAR.com': 'a.bar.com',
      'b.bar.com': '*.bar.com',
      'b-x.bar.com': '*-x.bar.com',
      'foo.com': '*.com',
      'foo.org': 'foo.*',
      'foo.bar.org': 'foo.bar.*',
      '.com': '*',
      'foo.': '*',
      'p.com': '*.com',
      'p.com:80': 'p.com:80',
    };
    for (const [authority, expected] of Object.entries(cases)) assert.equal(hostOf(domains, authority), expected);
    assert.equal(hostOf(['a'], 'b'), undefined);
  });

  it('are matched without the port only when told so', () => {
    assert.equal(hostOf(['a.com'], 'a.com:80'), undefined);
    assert.equal(hostOf(['a.com'], 'a.com:80', true), 'a.com');
    assert.equal(hostOf(['[::1]'], '[::1]:80', true), '[::1]');
    assert.equal(hostOf(['[::1]'], '[::1]', true), '[::1]');
  });

  it('send a request in clear text to https when they require it', () => {
    const host = virtualHost('v', ['*'], [route('r', ALL)], { requireTls: 'external' });
    const table = compileRoutes(configuration([host]));
    assert.equal(table.match(get('/'), undefined, 0)?.route.action.kind, 'redirect');
    assert.equal(table.match(get('/', 'a', [['x-envoy-internal', 'true']]), undefined, 0)?.route.name, 'r');
    assert.equal(table.match({ ...get('/'), scheme: 'https' }, undefined, 0)?.route.name, 'r');
  });

  it('name the virtual cluster of a request', () => {
    const host = virtualHost('v', ['*'], [route('r', ALL)], {
      virtualClusters: [{ name: 'pay', headers: [header({ name: ':path', match: exact('/pay') })] }],
    });
    const table = compileRoutes(configuration([host]));
    assert.equal(table.virtualCluster(get('/pay')), 'pay');
    assert.equal(table.virtualCluster(get('/x')), 'other');
  });
});

describe('routes', () => {
  it('match paths without the query', () => {
    const exactPath: RouteMatch['path'] = { kind: 'exact', value: '/A', ignoreCase: true };
    const separated: RouteMatch['path'] = { kind: 'path-separated-prefix', value: '/a', ignoreCase: false };
    assert.equal(matches(match('/a'), get('/ab?c')), true);
    assert.equal(matches(match('/a?c'), get('/a?c')), false);
    assert.equal(matches(match(exactPath), get('/a?c')), true);
    assert.equal(matches(match(exactPath), get('/ab')), false);
    for (const [path, expected] of Object.entries({ '/a': true, '/a?x': true, '/a/b': true, '/ab': false })) {
      assert.equal(matches(match(separated), get(path)), expected, path);
    }
    assert.equal(matches(match({ kind: 'connect' }), { ...get(''), method: 'CONNECT' }), true);
    assert.equal(matches(match({ kind: 'connect' }), get('/')), false);
    assert.equal(matches(ALL, { ...get(''), method: 'CONNECT' }), false);
  });

  it('match whole paths by RE2 patterns, with and without a literal beginning', () => {
    const cases: [string, string, boolean][] = [
      ['/a/b', '/a/b', true],
      ['/a/b', '/a/bc', false],
      ['/a/.*', '/a/', true],
      ['/a/.*', '/b/a/', false],
      ['/ab?', '/a', true],
      ['/a|/b', '/b', true],
      ['/(a|b)+', '/abba', true],
      ['/a[0-9]{2}', '/a12', true],
      ['/a[0-9]{2}', '/a123', false],
      ['(?i)/A', '/a', true],
      ['/a*', '/', true],
    ];
    for (const [value, path, expected] of cases) {
      assert.equal(matches(match({ kind: 'regex', value }), get(`${path}?q`)), expected, `${value} ${path}`);
    }
  });

  it('match headers as Envoy does, each field of a name for itself', () => {
    const two = get('/', 'a', [
      ['x', 'a'],
      ['x', 'b'],
    ]);
    const none = get('/');
    const cases: [Partial<HeaderMatch>, ReturnType<typeof get>, boolean][] = [
      [{ match: exact('b') }, two, true],
      [{ match: exact('a,b') }, two, false],
      [{ match: exact('a'), invert: true }, two, false],
      [{ match: exact('c'), invert: true }, two, true],
      [{ match: exact('c'), invert: true }, none, false],
      [{ match: exact(''), treatMissingAsEmpty: true }, none, true],
      [{ match: { kind: 'range', start: 1, end: 5 }, invert: true, treatMissingAsEmpty: true }, none, true],
      [{}, none, false],
      [{ invert: true }, none, true],
      [{ match: { kind: 'present', present: false } }, none, true],
      [{ match: { kind: 'present', present: false } }, two, false],
      [{ treatMissingAsEmpty: true }, none, true],
      [{ match: { kind: 'range', start: 1, end: 5 } }, get('/', 'a', [['x', '+2']]), true],
      [{ match: { kind: 'range', start: 1, end: 5 } }, get('/', 'a', [['x', '5']]), false],
      [{ match: { kind: 'range', start: -5, end: 0 } }, get('/', 'a', [['x', '-1']]), true],
      [{ match: { kind: 'range', start: 1, end: 5 } }, get('/', 'a', [['x', '2 3']]), false],
      [{ name: ':method', match: exact('GET') }, none, true],
      [{ name: 'host', match: exact('a') }, none, true],
    ];
    for (const [parts, head, expected] of cases) {
      assert.equal(matches(match('/', { headers: [header(parts)] }), head), expected, JSON.stringify(parts));
    }
  });

  it('match strings by beginning, end, part and pattern, in any case if told so', () => {
    const cases: [StringMatch, string, boolean][] = [
      [{ kind: 'prefix', value: 'Ab', ignoreCase: true }, 'aBc', true],
      [{ kind: 'suffix', value: 'bc', ignoreCase: false }, 'abc', true],
      [{ kind: 'contains', value: 'B', ignoreCase: false }, 'abc', false],
      [{ kind: 'exact', value: 'ABC', ignoreCase: true }, 'abc', true],
      [{ kind: 'regex', value: 'a.c', ignoreCase: false }, 'abc', true],
      [{ kind: 'regex', value: 'a.', ignoreCase: false }, 'abc', false],
    ];
    for (const [string, value, expected] of cases) {
      const headers = [header({ match: { kind: 'string', string } })];
      assert.equal(matches(match('/', { headers }), get('/', 'a', [['x', value]])), expected);
    }
  });

  it('match query parameters as they are written, the first of a name', () => {
    const is = (value: string): RouteMatch =>
      match('/', {
        queryParameters: [{ name: 'a', match: { kind: 'exact', value, ignoreCase: false }, present: undefined }],
      });
    const there = (present: boolean): RouteMatch =>
      match('/', { queryParameters: [{ name: 'a', match: undefined, present }] });
    assert.equal(matches(is('b%20c'), get('/?z&a=b%20c')), true);
    assert.equal(matches(is('b c'), get('/?a=b%20c')), false);
    assert.equal(matches(is('1'), get('/?a=1&a=2')), true);
    assert.equal(matches(is('2'), get('/?a=1&a=2')), false);
    assert.equal(matches(is('1'), get('/?ab=1')), false);
    assert.equal(matches(there(true), get('/?a')), true);
    assert.equal(matches(there(true), get('/?b=a')), false);
    assert.equal(matches(there(false), get('/?b')), true);
  });

  it('match gRPC, a share of requests, and nothing else of them', () => {
    const grpc = match('/', { grpc: true });
    for (const [type, expected] of [
      ['application/grpc', true],
      ['application/grpc+proto', true],
      ['application/grpc-web', false],
      ['text/plain', false],
    ] as const) {
      assert.equal(matches(grpc, get('/', 'a', [['content-type', type]])), expected);
    }
    const share = match('/', { fraction: { numerator: 25, denominator: 100, runtimeKey: undefined } });
    assert.equal(matches(share, get('/'), 0.2499), true);
    assert.equal(matches(share, get('/'), 0.25), false);
  });

  it('let the runtime say which share of requests they take', () => {
    const share = { numerator: 100, denominator: 100, runtimeKey: 'canary' };
    const config = configuration([virtualHost('v', ['*'], [route('canary', match('/', { fraction: share }))])]);
    for (const [said, random, expected] of [
      [undefined, 0.99, 'canary'],
      [{ numerator: 5, denominator: 1000 }, 0.0049, 'canary'],
      [{ numerator: 5, denominator: 1000 }, 0.005, undefined],
    ] as const) {
      const table = compileRoutes(config, (key) => (key === 'canary' ? said : undefined));
      assert.equal(table.match(get('/'), undefined, random)?.route.name, expected);
    }
  });

  it('explain why earlier ones were passed over', () => {
    const routes = [
      route('card', match('/card')),
      route('vip', match('/', { headers: [header({ match: exact('1') })] })),
      route('rest', ALL),
    ];
    const told = compileRoutes(configuration([virtualHost('v', ['*'], routes)])).explain(get('/pay'), undefined, 0);
    assert.equal(told.decision?.route.name, 'rest');
    assert.deepEqual(told.passed, [
      { index: 0, name: 'card', reason: 'path is not prefix "/card"' },
      { index: 1, name: 'vip', reason: 'header "x" does not match' },
    ]);
  });
});
