/** What the control plane has for each kind of node: resources by type, with a version that rises when they change. */
import type { Any } from '../../../protos/index.ts';

export interface Snapshot {
  readonly version: string;
  readonly resources: ReadonlyMap<string, Any>;
}

export class SnapshotTable {
  private readonly versionPrefix: string;
  private readonly snapshots = new Map<string, Snapshot>();
  private counter = 0;

  constructor(versionPrefix: string) {
    this.versionPrefix = versionPrefix;
  }

  /** Replaces a type's resources. Gives the names that are new, changed or gone. */
  set(snapshot: string, typeUrl: string, resources: ReadonlyMap<string, Any>): ReadonlySet<string> {
    const key = `${snapshot}\n${typeUrl}`;
    const before = this.snapshots.get(key);
    const changed = new Set<string>();
    for (const [name, any] of resources) {
      const known = before?.resources.get(name);
      if (known === undefined || known.type_url !== any.type_url || !known.value.equals(any.value)) changed.add(name);
    }
    for (const name of before?.resources.keys() ?? []) if (!resources.has(name)) changed.add(name);
    if (changed.size > 0 || before === undefined) {
      this.counter++;
      this.snapshots.set(key, { version: `${this.versionPrefix}${this.counter}`, resources: new Map(resources) });
    }
    return changed;
  }

  get(snapshot: string, typeUrl: string): Snapshot | undefined {
    return this.snapshots.get(`${snapshot}\n${typeUrl}`);
  }
}
