/**
 * The router_check goldens: each `X.yaml` is a RouteConfiguration, each `X.golden.proto.json` its requests and what must
 * become of them. They are replayed through running proxies. The files are not part of the repository; where their folder
 * is absent this says so.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { http, render } from './harness/case.ts';
import { get, run } from './harness/client.ts';
import { findEnvoy, type ProxyKind, type RunningProxy, startProxy } from './harness/proxies.ts';
import { reply, Upstream } from './harness/upstream.ts';

const FOLDER = process.env.ROUTER_GOLDENS ?? resolve(import.meta.dirname, '../../../shared/router-goldens');
/** A weighted choice of 30 % is missed this often in a row once in 10^30. */
const TRIES = 200;

/** Who counts as internal: Envoy trusts no private address unless it is told to. */
const INTERNAL = { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } };

interface Golden {
  readonly test_name: string;
  readonly input: {
    readonly authority: string;
    readonly path: string;
    readonly method: string;
    readonly ssl?: boolean;
    readonly internal?: boolean;
    readonly random_value?: number;
    readonly additional_request_headers?: readonly { readonly key: string; readonly value: string }[];
  };
  readonly validate: {
    readonly cluster_name?: string;
    readonly virtual_cluster_name?: string;
    readonly path_rewrite?: string;
    readonly host_rewrite?: string;
    readonly path_redirect?: string;
    readonly code_redirect?: number;
    readonly response_header_matches?: readonly {
      readonly name: string;
      readonly string_match?: { readonly exact: string };
      readonly present_match?: boolean;
      readonly invert_match?: boolean;
    }[];
  };
}

interface RouteConfig {
  readonly virtual_hosts: readonly { readonly name: string }[];
}

interface Seen {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly cluster: string;
  readonly path: string;
  readonly host: string;
}

/** Every cluster that a route configuration names. */
function clustersOf(value: unknown): Set<string> {
  const found = new Set<string>();
  const walk = (node: unknown, key: string): void => {
    if (Array.isArray(node)) for (const one of node) walk(one, key);
    else if (typeof node === 'object' && node !== null) {
      for (const [name, member] of Object.entries(node)) {
        if (name === 'cluster' && typeof member === 'string') found.add(member);
        if (key === 'clusters' && name === 'name' && typeof member === 'string') found.add(member);
        walk(member, name);
      }
    }
  };
  walk(value, '');
  return found;
}

async function ask(port: number, upstreams: readonly Upstream[], { input }: Golden): Promise<Seen> {
  for (const upstream of upstreams) await upstream.reset([reply(200, upstream.name)]);
  const headers: { [name: string]: string } = {
    host: input.authority,
    'x-forwarded-for': input.internal === true ? '10.0.0.1' : '203.0.113.9',
  };
  if (input.ssl === true) headers['x-forwarded-proto'] = 'https';
  for (const { key, value } of input.additional_request_headers ?? []) headers[key] = value;
  const { responses } = await run(port, { ...get(input.path, headers, input.method), lingerMs: 0 });
  const response = responses[0];
  const seen = upstreams.flatMap((upstream) =>
    upstream.seen.map((one) => ({ cluster: upstream.name, request: one.request })),
  )[0];
  const [, path = ''] = seen?.request.start.split(' ') ?? [];
  return {
    status: Number(response?.start.split(' ')[1]),
    header: (name) => response?.headers.find(([n]) => n.toLowerCase() === name)?.[1],
    cluster: seen?.cluster ?? '',
    path,
    host: seen?.request.headers.find(([n]) => n.toLowerCase() === 'host')?.[1] ?? '',
  };
}

function check(golden: Golden, seen: Seen): void {
  const { validate } = golden;
  const direct = validate.code_redirect === 200;
  if (validate.cluster_name !== undefined) assert.equal(seen.cluster, validate.cluster_name, 'cluster');
  if (validate.path_rewrite !== undefined) assert.equal(seen.path, validate.path_rewrite, 'path');
  if (validate.host_rewrite !== undefined) assert.equal(seen.host, validate.host_rewrite, 'host');
  if (validate.code_redirect !== undefined) assert.equal(seen.status, validate.code_redirect, 'status');
  // The tool gives a direct response's own address here; a client sees no Location.
  if (validate.path_redirect !== undefined && !direct)
    assert.equal(seen.header('location') ?? '', validate.path_redirect, 'location');
  for (const match of validate.response_header_matches ?? []) {
    const value = seen.header(match.name);
    // The tool puts a direct response's default content type before the route's; on the wire it is there only when the
    // route gives none.
    const wanted = match.string_match?.exact.replace(/^text\/plain,/, '');
    const holds = wanted === undefined ? value !== undefined : value === wanted;
    // An empty body has a length of 0 on the wire, which the tool does not look at.
    if (match.name === 'content-length' && match.invert_match === true && value === '0') continue;
    assert.equal(holds, match.invert_match !== true, `response header ${match.name}: ${value}`);
  }
}

async function countOf(proxy: RunningProxy, virtualCluster: string): Promise<number> {
  const text = await proxy.get(
    `/stats?filter=${encodeURIComponent(`vcluster\\.${virtualCluster}\\.upstream_rq_total`)}`,
  );
  return [...text.matchAll(/: (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

function replay(kind: ProxyKind, file: string): void {
  describe(`${file} through ${kind}`, () => {
    const config = parse(readFileSync(join(FOLDER, `${file}.yaml`), 'utf8')) as RouteConfig;
    const { tests } = JSON.parse(readFileSync(join(FOLDER, `${file}.golden.proto.json`), 'utf8')) as {
      readonly tests: readonly Golden[];
    };
    const names = [...clustersOf(config)];
    const upstreams = names.map((name) => new Upstream(name, [reply(200, name)]));
    let proxy: RunningProxy;

    before(async () => {
      for (const upstream of upstreams) await upstream.start();
      const bootstrap = http({
        clusters: Object.fromEntries(names.map((name) => [name, [name]])),
        routes: { ...config },
        manager: INTERNAL,
      });
      proxy = await startProxy(kind, render(bootstrap, new Map(upstreams.map(({ name, port }) => [name, port]))), [
        'ingress',
      ]);
    });
    after(async () => {
      await proxy?.stop();
      for (const upstream of upstreams) await upstream.stop();
    });

    for (const golden of tests) {
      test(golden.test_name, async () => {
        const port = proxy.ports.get('ingress') as number;
        const virtualCluster = golden.validate.virtual_cluster_name;
        const counted =
          virtualCluster === undefined || virtualCluster === '' ? 0 : await countOf(proxy, virtualCluster);
        let seen = await ask(port, upstreams, golden);
        // The tool fixes the random number; a running proxy throws its own, so the choice must come within some tries.
        const random = golden.input.random_value !== undefined;
        for (let at = 0; random && at < TRIES && seen.cluster !== golden.validate.cluster_name; at++)
          seen = await ask(port, upstreams, golden);
        check(golden, seen);
        if (virtualCluster !== undefined && virtualCluster !== '') {
          assert.ok(
            (await countOf(proxy, virtualCluster)) > counted,
            `virtual cluster ${virtualCluster} counted nothing`,
          );
        }
      });
    }
  });
}

if (!existsSync(FOLDER)) {
  test('the router goldens are left out', (t) =>
    t.diagnostic(`no folder ${FOLDER}: set ROUTER_GOLDENS to where they are`));
} else {
  const files = readdirSync(FOLDER)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length));
  const kinds: readonly ProxyKind[] = findEnvoy() === undefined ? ['tollway'] : ['envoy', 'tollway'];
  for (const file of files) for (const kind of kinds) replay(kind, file);
}
