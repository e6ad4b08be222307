/** Which TLS material a listener or cluster uses: the references with their keys. Pure. */
import type { Cluster } from '../../xds-client/model/cluster.ts';
import type { Listener } from '../../xds-client/model/listener.ts';
import type { SecretRef, TlsCertificate, TlsParameters } from '../../xds-client/model/tls.ts';
import { secretKey, type ValidationRef, validationKey } from '../tls/secret-key.ts';

export type Reference =
  | { readonly kind: 'certificate'; readonly key: string; readonly ref: SecretRef<TlsCertificate> }
  | { readonly kind: 'trust'; readonly key: string; readonly ref: ValidationRef };

/** What one TLS context puts together. */
export interface ContextReferences {
  readonly certificates: readonly Reference[];
  readonly trust: Reference | undefined;
}

export type TlsUser =
  | { readonly kind: 'listener'; readonly value: Listener }
  | { readonly kind: 'cluster'; readonly value: Cluster };

/** One entry a TLS context, in order of appearance. */
export function contextsOf(user: TlsUser): ContextReferences[] {
  return (user.kind === 'listener' ? ofListener(user.value) : ofCluster(user.value)).map((common) => {
    const { certificates, validation } = common;
    return {
      certificates: certificates.map((ref) => ({ kind: 'certificate', key: secretKey(ref), ref })),
      trust: validation === undefined ? undefined : { kind: 'trust', key: validationKey(validation), ref: validation },
    };
  });
}

function ofListener(listener: Listener): TlsParameters[] {
  const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  return chains.flatMap(({ transportSocket }) => (transportSocket.kind === 'tls' ? [transportSocket.tls.common] : []));
}

function ofCluster(cluster: Cluster): TlsParameters[] {
  const sockets = [cluster.transportSocket, ...cluster.transportSocketMatches.map((match) => match.transportSocket)];
  return sockets.flatMap((socket) => (socket.kind === 'tls' ? [socket.tls.common] : []));
}
