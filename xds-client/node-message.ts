/** What Tollway says of itself on the first request of a stream. */
import { fromJson, type JsonProblem, type MessageObject } from '../protos/index.ts';
import { IDENTITY_MEMBER } from './decode/identity.ts';
import type { Node } from './model/bootstrap.ts';

/**
 * envoy.config.core.v3.Node of the bootstrap's node. `features`: client_features; a server may wrap resources (TTL) only
 * for clients that name `xds.config.resource-in-sotw`.
 */
export function nodeMessage(
  node: Node,
  version: string,
  features: readonly string[] = ['xds.config.resource-in-sotw'],
): MessageObject {
  const problems: JsonProblem[] = [];
  const { locality } = node;
  // where our keys come from is nobody else's business
  const { [IDENTITY_MEMBER]: _, ...metadata } = node.metadata;
  return fromJson(
    'envoy.config.core.v3.Node',
    {
      id: node.id,
      cluster: node.cluster,
      metadata,
      ...(locality === undefined
        ? {}
        : { locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone } }),
      user_agent_name: 'tollway',
      user_agent_version: version,
      client_features: features,
    },
    problems,
  );
}
