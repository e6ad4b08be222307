/** Route matching in a table of mesh size, and what a route does to a head. */
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import { HeaderMutation, headerLevels } from '../../proxy/route/headers.ts';
import { preparePath } from '../../proxy/route/path.ts';
import { compileRoutes } from '../../proxy/route/table.ts';
import { action, add, configuration, match, NO_CHANGES, route, virtualHost } from '../../test/route/build.ts';
import type { Bench } from './measure.ts';

const HOSTS = 2000;

function head(path: string, authority: string): RequestHead {
  const headers = new HeaderMap();
  for (const name of ['user-agent', 'accept', 'content-type', 'x-request-id', 'traceparent']) headers.add(name, 'v');
  return { method: 'GET', path, authority, scheme: 'http', version: 11, protocol: undefined, headers };
}

function table() {
  const routes = [
    route('exact', match({ kind: 'exact', value: '/healthz', ignoreCase: false })),
    route('vip', match('/pay', { headers: [header('x-vip')] })),
    route('rest', match('/'), { headers: { ...NO_CHANGES, requestAdd: [add('x-route', 'rest', 'overwrite-or-add')] } }),
  ];
  const hosts = Array.from({ length: HOSTS }, (_, i) =>
    virtualHost(`v${i}`, [`svc-${i}.ns.svc.cluster.local`, `svc-${i}.ns:8080`], routes),
  );
  hosts.push(virtualHost('wild', ['*.example.com'], routes));
  return compileRoutes(configuration(hosts));
}

function header(name: string) {
  const found = { kind: 'present', present: true } as const;
  return { name, match: found, invert: false, treatMissingAsEmpty: false };
}

function matching(name: string, path: string, authority: string): Bench {
  const routes = table();
  const request = head(path, authority);
  return {
    name,
    run(count) {
      let found = 0;
      for (let i = 0; i < count; i++) if (routes.match(request, undefined, 0.5) !== undefined) found++;
      return found;
    },
  };
}

export function routeBenches(): Bench[] {
  const regex = compileRoutes(
    configuration([
      virtualHost(
        'v',
        ['*'],
        [route('r', match({ kind: 'regex', value: '/v[0-9]+/(pay|settle)/.*' }), { action: action() })],
      ),
    ]),
  );
  const request = head('/v1/pay/8f14e45f', 'a');
  const routes = table();
  const plain = head('/pay/1', 'svc-7.ns.svc.cluster.local');
  const decision = routes.match(plain, undefined, 0);
  const changes =
    decision === undefined
      ? []
      : headerLevels(decision, undefined).map(
          ({ requestRemove, requestAdd }) => new HeaderMutation(requestRemove, requestAdd, () => () => ''),
        );
  const options = { normalizePath: true, mergeSlashes: true, escapedSlashes: 'keep' } as const;
  return [
    matching('route: exact domain among 2,000, third route', '/pay/1?a=b', 'svc-1234.ns.svc.cluster.local'),
    matching('route: wildcard domain, third route', '/pay/1', 'api.example.com'),
    {
      name: 'route: RE2 pattern that needs the engine',
      run(count) {
        let found = 0;
        for (let i = 0; i < count; i++) if (regex.match(request, undefined, 0) !== undefined) found++;
        return found;
      },
    },
    {
      name: 'route: one header overwritten',
      run(count) {
        for (let i = 0; i < count; i++) for (const change of changes) change.apply(plain.headers, undefined);
        return plain.headers.size;
      },
    },
    {
      name: 'route: path that is normal already',
      run(count) {
        let length = 0;
        for (let i = 0; i < count; i++) {
          const made = preparePath('/payments/v1/settlements/8f14e45f?trace=1', options);
          if (made.kind === 'path') length += made.path.length;
        }
        return length;
      },
    },
  ];
}
