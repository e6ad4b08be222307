/**
 * What Envoy 1.40 has and the packaged protos have not yet: fields by message, with their numbers on the wire, and the
 * constraints that they bring or change. What the packages come to have themselves is to be taken out; a test says so.
 */
import type { FieldJson, MessageJson } from './descriptor-file.ts';

export interface NewerMessage extends MessageJson {
  /** The packages do not have the message at all. */
  readonly whole?: true;
  /** As in rules.json; `{}`: there is none any more. */
  readonly rules?: { readonly [field: string]: { readonly [kind: string]: { readonly [rule: string]: unknown } } };
}

const CORE = 'envoy.config.core.v3';
const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const MUTATION = 'envoy.config.common.mutation_rules.v3.HeaderMutation';

function message(id: number, type: string): FieldJson {
  return { id, type: `.${type}` };
}

function list(id: number, type: string): FieldJson {
  return { id, type: `.${type}`, rule: 'repeated' };
}

export const NEWER: { readonly [message: string]: NewerMessage } = {
  [MUTATION]: {
    fields: { remove_on_match: message(3, `${MUTATION}.RemoveOnMatch`) },
    oneofs: { action: { oneof: ['remove_on_match'] } },
  },
  [`${MUTATION}.RemoveOnMatch`]: {
    whole: true,
    fields: { key_matcher: message(1, 'envoy.type.matcher.v3.StringMatcher') },
    rules: { key_matcher: { message: { required: true } } },
  },
  [`${CORE}.KeyValuePair`]: {
    whole: true,
    fields: { key: { id: 1, type: 'string' }, value: message(2, 'google.protobuf.Value') },
    rules: { key: { string: { min_len: 1, max_bytes: 16384 } } },
  },
  [`${CORE}.KeyValueAppend`]: {
    fields: { record: message(3, `${CORE}.KeyValuePair`) },
    rules: { entry: {} },
  },
  [`${TLS}.SPIFFECertValidatorConfig`]: {
    fields: { trust_bundles: message(2, `${CORE}.DataSource`) },
    rules: { trust_domains: {} },
  },
  [`${TLS}.SPIFFECertValidatorConfig.TrustDomain`]: {
    fields: { workload_trust_domain: { id: 3, type: 'string' } },
  },
  [`${TLS}.CertificateValidationContext`]: {
    fields: { suppress_client_ca_list: { id: 18, type: 'bool' } },
  },
  [`${TLS}.UpstreamTlsContext`]: {
    fields: {
      auto_host_sni: { id: 6, type: 'bool' },
      auto_sni_san_validation: { id: 7, type: 'bool' },
    },
  },
  'envoy.extensions.filters.network.rbac.v3.RBAC': {
    fields: { delay_deny: message(8, 'google.protobuf.Duration') },
  },
  'envoy.extensions.filters.http.header_mutation.v3.Mutations': {
    fields: {
      query_parameter_mutations: list(3, `${CORE}.KeyValueMutation`),
      response_trailers_mutations: list(4, MUTATION),
      request_trailers_mutations: list(5, MUTATION),
      formatters: list(6, `${CORE}.TypedExtensionConfig`),
    },
  },
};

/** The message as the packages have it with what is newer. */
export function withNewer(packaged: MessageJson | undefined, newer: NewerMessage): MessageJson {
  const oneofs: { [oneof: string]: { readonly oneof: readonly string[] } } = { ...packaged?.oneofs };
  for (const [name, { oneof }] of Object.entries(newer.oneofs ?? {})) {
    oneofs[name] = { oneof: [...(oneofs[name]?.oneof ?? []), ...oneof] };
  }
  const fields = { ...packaged?.fields, ...newer.fields };
  return Object.keys(oneofs).length > 0 ? { fields, oneofs } : { fields };
}
