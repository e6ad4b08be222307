/**
 * Certificates and roots rotate every two seconds on both sidecars under load: nothing may fail, nothing may be cut off, and
 * each new handshake shows the new certificate. `TOLLWAY_ROTATION_S` says how long (`npm run rotation`: two minutes).
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DevCa, type IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { App, inbound, Load, outbound, Sidecar } from './rotating-mesh.ts';
import { once1 } from './tls-callers.ts';
import { eventually } from './tollway.ts';

const SECONDS = Number(process.env.TOLLWAY_ROTATION_S ?? 12);
const RATE_PER_S = 500;
const ROTATION_MS = 2000;
/** Short, so that connections end within the run: at four fifths of it. */
const TTL_MS = 10_000;
const ENDLESS_MS = 3_600_000;
/** From the push by the control plane to the first handshake with the new certificate, mostly. */
const AT_ONCE_MS = 1000;

const newCa = (): DevCa => new DevCa({ now: Date.now, trustDomain: 'td' });
const issue = (ca: DevCa, who: string, ttlMs = 600_000): IssuedLeaf =>
  ca.issue({ spiffeId: `spiffe://td/sa/${who}`, ttlMs });

class Mesh {
  readonly app: App;
  readonly near: Sidecar;
  readonly far: Sidecar;
  readonly port: number;
  readonly farPort: number;
  rotations = 0;
  readonly pushes: number[] = [];
  /** Milliseconds from each push to the first handshakes that show it. */
  readonly shownAfter: number[] = [];
  /** Whom handshakes with the far one are made as. */
  caller: { readonly leaf: IssuedLeaf; readonly roots: string };

  private constructor(parts: Pick<Mesh, 'app' | 'near' | 'far' | 'port' | 'farPort' | 'caller'>) {
    this.app = parts.app;
    this.near = parts.near;
    this.far = parts.far;
    this.port = parts.port;
    this.farPort = parts.farPort;
    this.caller = parts.caller;
  }

  static async start(t: TestContext, ca: DevCa, roots: string, more: { runtime?: object; ttlMs?: number } = {}) {
    const { runtime = {}, ttlMs } = more;
    const app = new App(t);
    const far = await Sidecar.start(t, { ...inbound(await app.listen()), runtime }, issue(ca, 'far', ttlMs), [
      ca.rootPem,
    ]);
    const farPort = await far.proxy.port('in');
    const near = await Sidecar.start(t, { ...outbound(farPort), runtime }, issue(ca, 'near', ttlMs), [ca.rootPem]);
    const port = await near.proxy.port('out');
    const caller = { leaf: issue(ca, 'caller'), roots };
    return new Mesh({ app, near, far, port, farPort, caller });
  }

  /** New certificates for both, and how long it takes until handshakes show them, and then only them. */
  async rotate(ca: DevCa, load: Load, ttlMs?: number): Promise<void> {
    const [near, far] = [issue(ca, 'near', ttlMs), issue(ca, 'far', ttlMs)];
    const pushed = performance.now();
    this.pushes.push(pushed);
    this.near.certificate(near);
    this.far.certificate(far);
    const shown = new X509Certificate(near.chain).fingerprint256.replaceAll(':', '').toLowerCase();
    const isShown = async (): Promise<boolean> => (await load.probe('/new')).includes(`Hash=${shown}`);
    const farShown = async (): Promise<boolean> => {
      const answer = await once1(this.farPort, this.caller);
      assert.ok('serial' in answer, JSON.stringify(answer));
      return answer.serial === far.serial.toLowerCase();
    };
    await eventually('both show their new certificates', async () =>
      (await isShown()) && (await farShown()) ? true : undefined,
    );
    this.shownAfter.push(performance.now() - pushed);
    assert.ok((await isShown()) && (await farShown()), 'and never an old one again');
    this.rotations++;
  }

  sum(...names: readonly string[]): Promise<number> {
    const all = [this.near, this.far].flatMap(({ proxy }) => names.map((name) => proxy.stat(name)));
    return Promise.all(all).then((values) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0));
  }
}

const CLUSTERS = ['h1', 'h2', 'new'];
const ended = (what: string): string[] =>
  ['listener.in', ...CLUSTERS.map((name) => `cluster.${name}`)].map((at) => `${at}.ssl.${what}`);

/** 99 of a hundred requests took no longer, in milliseconds: of those that were sent within half a second of a push, and the others. */
function p99(mesh: Mesh, load: Load): { readonly rotating: number; readonly between: number } {
  const rotating = (at: number): boolean => mesh.pushes.some((push) => at >= push - 50 && at < push + 500);
  const of = (chosen: boolean): number => {
    const all = load.latencies.filter(([at]) => rotating(at) === chosen).map(([, ms]) => ms);
    return Math.round(all.sort((a, b) => a - b)[Math.floor(all.length * 0.99)] ?? 0);
  };
  return { rotating: of(true), between: of(false) };
}

/** What both ends wrote down is the same, and nothing failed. */
async function settle(t: TestContext, mesh: Mesh, load: Load): Promise<void> {
  await load.stop(mesh.app);
  const asked = [...mesh.app.asked].filter(([path]) => /^\/h\d\/\d+$/.test(path));
  const [expired, distrusted, cut] = await Promise.all(
    ['connection_expired', 'connection_distrusted', 'connection_cut'].map((what) => mesh.sum(...ended(what))),
  );
  const median = mesh.shownAfter.sort((a, b) => a - b)[mesh.shownAfter.length >> 1] ?? 0;
  const report = {
    requests: load.sent,
    answered: load.answered.size,
    failures: load.failures.length,
    doubled: asked.filter(([, times]) => times > 1).length,
    unasked: [...load.answered].filter((path) => !mesh.app.asked.has(path)).length,
    streams: load.streamed.size,
    streamsCut: load.cut.length,
    rotations: mesh.rotations,
    shownAfterMs: { median: Math.round(median), most: Math.round(Math.max(...mesh.shownAfter)) },
    p99Ms: p99(mesh, load),
    connectionsExpired: expired,
    connectionsDistrusted: distrusted,
    connectionsCut: cut,
  };
  t.diagnostic(JSON.stringify(report));
  const logs = [mesh.near, mesh.far].map(({ proxy }) => proxy.stderr.slice(-2000)).join('\n');
  assert.deepEqual([load.failures.slice(0, 5), load.cut.slice(0, 5)], [[], []], logs);
  assert.equal(load.answered.size, load.sent);
  assert.deepEqual([report.doubled, report.unasked, asked.length], [0, 0, load.sent]);
  assert.deepEqual([...load.streamed].sort(), [...mesh.app.streamed].sort(), 'every line of every stream came');
  assert.ok(median < AT_ONCE_MS, `new certificates were shown after ${median} ms`);
  assert.ok(load.sent > SECONDS * RATE_PER_S * 0.5, 'there was load');
}

const PATIENCE = { timeout: (SECONDS + 60) * 1000 };

test('certificates rotate every two seconds on both sidecars', PATIENCE, async (t) => {
  const ca = newCa();
  const mesh = await Mesh.start(t, ca, ca.rootPem);
  const load = new Load(t, mesh.port, RATE_PER_S, ENDLESS_MS);
  const endsAt = performance.now() + SECONDS * 1000;
  while (performance.now() < endsAt) {
    const next = performance.now() + ROTATION_MS;
    await mesh.rotate(ca, load);
    await sleep(Math.max(0, next - performance.now()));
  }
  await settle(t, mesh, load);
  assert.equal(await mesh.sum(...CLUSTERS.slice(0, 2).map((name) => `cluster.${name}.upstream_cx_destroy`)), 0);
});

test('connections end with certificates that live for seconds', PATIENCE, async (t) => {
  const ca = newCa();
  const mesh = await Mesh.start(t, ca, ca.rootPem, { ttlMs: TTL_MS });
  const load = new Load(t, mesh.port, RATE_PER_S, 1500);
  const endsAt = performance.now() + SECONDS * 1000;
  while (performance.now() < endsAt) {
    const next = performance.now() + ROTATION_MS;
    await mesh.rotate(ca, load, TTL_MS);
    await sleep(Math.max(0, next - performance.now()));
  }
  await settle(t, mesh, load);
  assert.ok((await mesh.sum(...ended('connection_expired'))) > 0, 'connections ended');
  assert.equal(await mesh.sum(...ended('connection_cut')), 0);
});

test('roots rotate with overlap on both sidecars', PATIENCE, async (t) => {
  const roots = [newCa(), newCa()] as const;
  const [first, second] = roots;
  const pem = (...cas: DevCa[]): string[] => cas.map(({ rootPem }) => rootPem);
  const mesh = await Mesh.start(t, first, pem(first, second).join(''));
  const load = new Load(t, mesh.port, RATE_PER_S, 3000);
  const both = async (...cas: DevCa[]): Promise<void> => {
    const taken = await mesh.sum('sds.ROOTCA.update_success');
    for (const sidecar of [mesh.near, mesh.far]) sidecar.trust(...pem(...cas));
    await eventually('both have taken the bundle', async () =>
      (await mesh.sum('sds.ROOTCA.update_success')) >= taken + 2 ? true : undefined,
    );
    // no handshake is under way that began before it
    await load.caughtUp();
    await sleep(ROTATION_MS);
    await load.caughtUp();
  };
  const endsAt = performance.now() + SECONDS * 1000;
  for (let from: 0 | 1 = 0; performance.now() < endsAt; from = from === 0 ? 1 : 0) {
    const [old, next] = [roots[from], roots[from === 0 ? 1 : 0]];
    await both(old, next);
    mesh.caller = { ...mesh.caller, leaf: issue(next, 'caller') };
    await mesh.rotate(next, load);
    await load.caughtUp();
    await sleep(ROTATION_MS);
    await both(next);
    await eventually('connections of the old root end', async () =>
      (await mesh.sum(...ended('connection_distrusted'))) > 0 ? true : undefined,
    );
  }
  await settle(t, mesh, load);
  assert.equal(await mesh.sum(...ended('connection_cut')), 0);
});

test('a removed root: connections end within the grace, and new ones are refused', PATIENCE, async (t) => {
  const [ca, other] = [newCa(), newCa()];
  const mesh = await Mesh.start(t, ca, ca.rootPem, { runtime: { 'tollway.certificates.grace_ms': 1500 } });
  const load = new Load(t, mesh.port, 100, ENDLESS_MS);
  await eventually('all ways are in use', async () => (load.answered.size > 100 ? true : undefined));
  const removed = performance.now();
  mesh.far.trust(other.rootPem);
  await eventually('new connections are refused', async () =>
    'error' in (await once1(mesh.farPort, mesh.caller)) ? true : undefined,
  );
  await eventually('no connection is left', async () =>
    (await mesh.far.proxy.stat('listener.in.downstream_cx_active')) === 0 ? true : undefined,
  );
  const tookMs = performance.now() - removed;
  const cut = await mesh.far.proxy.stat('listener.in.ssl.connection_cut');
  t.diagnostic(JSON.stringify({ tookMs: Math.round(tookMs), cut, streamsCut: load.cut.length }));
  assert.ok(tookMs < 4000, `connections were there for ${tookMs} ms`);
  assert.ok((cut ?? 0) > 0, 'streams without end are cut off');
  assert.match(await load.probe('/h1/1'), /status 503/);
  await load.stop(mesh.app);
});
