/** Carries the configuration's changes to where they act: clusters' slots, DNS and health checks, TLS material, the workers. */
import type { ConfigChange } from '../xds-client/changes.ts';
import type { ClusterDirectory } from './cluster/directory.ts';
import type { ClusterResolution } from './cluster/resolution.ts';
import type { ClusterHealth } from './cluster-health.ts';
import type { ListenerBoard } from './listener-board.ts';
import type { ToWorker } from './messages.ts';
import type { SecretManager } from './secrets/secret-manager.ts';

export interface ConfigTargets {
  readonly broadcast: (message: ToWorker) => void;
  readonly directory: ClusterDirectory;
  readonly health: ClusterHealth;
  readonly resolution: ClusterResolution;
  readonly secrets: SecretManager;
  readonly board: ListenerBoard;
  readonly onListenerRemoved: () => void;
  readonly onInitialized: () => void;
  readonly drainMs: number;
}

export function applyChange(change: ConfigChange, targets: ConfigTargets): void {
  const { broadcast, directory, health } = targets;
  switch (change.type) {
    case 'secret':
      targets.secrets.setSecret(change.secret, change.source);
      return;
    case 'resolve':
      targets.resolution.resolve(change.cluster);
      return;
    case 'resolve-ended':
      targets.resolution.stop(change.name);
      return;
    case 'check':
      health.warm(change.cluster, change.assignment);
      return;
    case 'check-ended':
      health.stopWarming(change.name);
      return;
    case 'cluster': {
      // Before the directory, which asks for the endpoints' health.
      const assignment = health.serve(change.cluster, change.assignment);
      directory.setCluster(change.cluster);
      // A static cluster brings its endpoints along.
      if (change.cluster.discovery.kind !== 'static') directory.setAssignment(change.name, assignment);
      return;
    }
    case 'endpoints':
      directory.setAssignment(change.name, health.update(change.name, change.assignment));
      return;
    case 'routes':
      broadcast({ type: 'routes', name: change.name, json: JSON.stringify(change.routes) });
      return;
    case 'listener':
      targets.board.send(change.listener);
      return;
    case 'listener-removed':
      targets.board.remove(change.name, targets.drainMs);
      targets.onListenerRemoved();
      return;
    case 'routes-removed':
      broadcast({ type: 'routes-removed', name: change.name });
      return;
    case 'cluster-removed':
      targets.resolution.stop(change.name);
      health.remove(change.name);
      directory.removeCluster(change.name);
      return;
    case 'initialized':
      targets.onInitialized();
      return;
  }
}
