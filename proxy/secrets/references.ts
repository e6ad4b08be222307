/** Which TLS material a listener or cluster uses: the references with their keys. Pure. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Listener } from '../../xds-client/model/listener.ts';
import type { SecretRef, TlsCertificate, TlsParameters } from '../../xds-client/model/tls.ts';
import { secretKey, type ValidationRef, validationKey } from '../tls/secret-key.ts';

export type Reference =
  | { readonly kind: 'certificate'; readonly key: string; readonly ref: SecretRef<TlsCertificate> }
  | { readonly kind: 'trust'; readonly key: string; readonly ref: ValidationRef };

export function referencesOf(
  user: { readonly kind: 'listener'; readonly value: Listener } | { readonly kind: 'cluster'; readonly value: Cluster },
): Reference[] {
  const found = new Map<string, Reference>();
  for (const common of user.kind === 'listener' ? ofListener(user.value) : ofCluster(user.value)) {
    for (const ref of common.certificates) {
      const key = secretKey(ref);
      found.set(key, { kind: 'certificate', key, ref });
    }
    if (common.validation === undefined) continue;
    const key = validationKey(common.validation);
    found.set(key, { kind: 'trust', key, ref: common.validation });
  }
  return [...found.values()];
}

function ofListener(listener: Listener): TlsParameters[] {
  const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  return chains.flatMap(({ transportSocket }) => (transportSocket.kind === 'tls' ? [transportSocket.tls.common] : []));
}

function ofCluster(cluster: Cluster): TlsParameters[] {
  const sockets = [cluster.transportSocket, ...cluster.transportSocketMatches.map((match) => match.transportSocket)];
  return sockets.flatMap((socket) => (socket.kind === 'tls' ? [socket.tls.common] : []));
}
