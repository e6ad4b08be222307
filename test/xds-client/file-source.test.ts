import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { decodeMessage, encodeMessage } from '../../protos/index.ts';
import { systemClock } from '../../xds-client/clock.ts';
import type { ConfigUpdate } from '../../xds-client/config-store.ts';
import type { XdsEvent } from '../../xds-client/events.ts';
import { FileSource, parseResponse } from '../../xds-client/file-source.ts';
import type { ResourceDecoder } from '../../xds-client/resource-decoder.ts';
import { RESOURCE_TYPES } from '../../xds-client/resource-types.ts';
import { cluster } from './models.ts';

const decode: ResourceDecoder = (kind, any) => {
  assert.equal(kind, 'cluster');
  const { name = '', alt_stat_name } = decodeMessage('envoy.config.cluster.v3.Cluster', any.value);
  return {
    ok: true,
    value: { kind: 'cluster', value: cluster(name, { altStatName: alt_stat_name }) },
    unsupported: [],
  };
};

function yaml(version: string, ...names: string[]): string {
  const resources = names.map((name) => `- "@type": ${RESOURCE_TYPES.cluster.typeUrl}\n  name: ${name}\n`);
  return `version_info: "${version}"\nresources:\n${resources.join('')}`;
}

let directory = '';
let source: FileSource | undefined;
let updates: ConfigUpdate[] = [];
let events: XdsEvent[] = [];
let wake: () => void = () => {};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'file-source-'));
  updates = [];
  events = [];
});

afterEach(() => {
  source?.stop();
  rmSync(directory, { recursive: true });
});

function open(path: string, watchedDirectory?: string): FileSource {
  source = new FileSource(
    { source: `path:${path}`, path, watchedDirectory, decode, clock: systemClock },
    {
      updated: (update) => {
        updates.push(update);
        wake();
      },
      happened: (event) => {
        events.push(event);
        wake();
      },
    },
  );
  source.start();
  source.want('cluster', { wildcard: true, names: new Map() });
  return source;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const limit = AbortSignal.timeout(5_000);
  while (!condition()) {
    if (limit.aborted) throw new Error(`never: ${what}`);
    await new Promise<void>((resolve) => {
      wake = resolve;
      limit.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

/** As kubelet and careful people do: write beside, then rename. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const last = () => updates.at(-1);

describe('a file of resources', () => {
  it('is read, read again when it is replaced, and what is not in it any more is removed', async () => {
    const path = join(directory, 'cds.yaml');
    writeFileSync(path, yaml('1', 'a', 'b'));
    open(path);
    await until('the first', () => updates.length === 1);
    assert.deepEqual(
      last()?.changed.map(({ name }) => name),
      ['a', 'b'],
    );
    assert.deepEqual(last()?.answered, ['cluster']);
    replace(path, yaml('2', 'b'));
    await until('the second', () => updates.length === 2);
    assert.deepEqual([last()?.changed, last()?.removed], [[], [{ kind: 'cluster', name: 'a' }]]);
  });

  it('changes nothing while it is broken, and says so', async () => {
    const path = join(directory, 'cds.yaml');
    writeFileSync(path, yaml('1', 'a'));
    const held = open(path).subscription('cluster');
    await until('the first', () => updates.length === 1);
    replace(path, 'resources: [');
    await until('malformed', () => events.some(({ type }) => type === 'malformed'));
    replace(path, `resources:\n- "@type": ${RESOURCE_TYPES.cluster.typeUrl}\n  nmae: a\n`);
    await until('malformed again', () => events.filter(({ type }) => type === 'malformed').length === 2);
    const messages = events.flatMap((event) => (event.type === 'malformed' ? event.message : []));
    assert.match(messages[1] ?? '', /cds\.yaml: resources\[0\]\.nmae/);
    assert.deepEqual([updates.length, held?.held().size], [1, 1]);
  });

  it('may come later than the process', async () => {
    const path = join(directory, 'cds.yaml');
    open(path);
    await until('malformed', () => events.some(({ type }) => type === 'malformed'));
    replace(path, yaml('1', 'a'));
    await until('the first', () => updates.length === 1);
  });

  it('follows a directory that is swapped by its link', async () => {
    for (const generation of ['one', 'two']) {
      mkdirSync(join(directory, generation));
      writeFileSync(join(directory, generation, 'cds.yaml'), yaml(generation, generation));
    }
    symlinkSync('one', join(directory, 'data'));
    open(join(directory, 'data', 'cds.yaml'), directory);
    await until('the first', () => updates.length === 1);
    symlinkSync('two', join(directory, 'data.new'));
    renameSync(join(directory, 'data.new'), join(directory, 'data'));
    await until('the second', () => updates.length === 2);
    assert.deepEqual(
      last()?.changed.map(({ name }) => name),
      ['two'],
    );
  });

  it('may be JSON or protobuf', () => {
    const { typeUrl } = RESOURCE_TYPES.cluster;
    const json = JSON.stringify({ version_info: '3', resources: [{ '@type': typeUrl, name: 'a' }] });
    const wire = encodeMessage('envoy.service.discovery.v3.DiscoveryResponse', {
      version_info: '3',
      resources: [{ type_url: typeUrl, value: encodeMessage('envoy.config.cluster.v3.Cluster', { name: 'a' }) }],
    });
    assert.deepEqual(parseResponse(Buffer.from(json), 'x.json'), parseResponse(wire, 'x.pb'));
  });
});
