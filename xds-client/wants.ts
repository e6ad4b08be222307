/** Which resources to ask for, and whom. Pure. */
import type { ConfigSource } from './model/common.ts';
import type { Reference } from './references.ts';
import type { ResourceKind } from './resource-types.ts';
import type { Wanted } from './subscription.ts';

/** initial_fetch_timeout, when the configuration does not say. */
export const DEFAULT_FETCH_TIMEOUT_MS = 15_000;

/** All that is wanted of one kind from one source. */
export interface Want {
  readonly kind: ResourceKind;
  readonly source: ConfigSource;
  readonly wanted: Wanted;
}

export interface WantedReferences {
  readonly cds: ConfigSource | undefined;
  readonly lds: ConfigSource | undefined;
  readonly endpoints: readonly Reference[];
  readonly routes: readonly Reference[];
  readonly secrets: readonly Reference[];
}

/** In the order in which to ask. */
export function wantsOf(references: WantedReferences): readonly Want[] {
  const wants: Want[] = [];
  if (references.cds !== undefined) wants.push(everything('cluster', references.cds));
  addNamed('endpoints', references.endpoints, wants);
  if (references.lds !== undefined) wants.push(everything('listener', references.lds));
  addNamed('routes', references.routes, wants);
  addNamed('secret', references.secrets, wants);
  return wants;
}

/** Sources with the same key are one connection or one file. `self` means the source that its referrer came from: ADS. */
export function sourceKey(source: ConfigSource): string {
  switch (source.kind) {
    case 'ads':
    case 'self':
      return 'ads';
    case 'path':
      return `path:${source.path}`;
    case 'grpc':
      return `grpc:${source.cluster}${source.delta ? ':delta' : ''}`;
  }
}

function everything(kind: ResourceKind, source: ConfigSource): Want {
  return { kind, source, wanted: { wildcard: true, names: new Map() } };
}

function addNamed(kind: ResourceKind, references: readonly Reference[], into: Want[]): void {
  const bySource = new Map<string, { source: ConfigSource; names: Map<string, number> }>();
  for (const { name, source } of references) {
    const key = sourceKey(source);
    let group = bySource.get(key);
    if (group === undefined) {
      group = { source, names: new Map() };
      bySource.set(key, group);
    }
    if (!group.names.has(name)) group.names.set(name, source.initialFetchTimeoutMs ?? DEFAULT_FETCH_TIMEOUT_MS);
  }
  for (const { source, names } of bySource.values()) into.push({ kind, source, wanted: { wildcard: false, names } });
}
