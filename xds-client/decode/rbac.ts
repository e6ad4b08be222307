/** envoy.config.rbac.v3: policies with their permissions and principals, for connections and for requests. */
import type { MessageObject } from '../../protos/index.ts';
import type { RbacPermission, RbacPolicy, RbacPrincipal, RbacRules } from '../model/rbac.ts';
import { decodeCidr, each, inside } from './common.ts';
import { type DecodeContext, support } from './context.ts';
import { entries, has, isMessage, message, number, word } from './fields.ts';
import { decodeHeaderMatch, decodeStringMatch } from './matcher.ts';
import { decodeMetadataMatch } from './metadata-match.ts';

const RBAC = 'envoy.config.rbac.v3';
const NO_EXPRESSIONS = 'expressions are not evaluated; who may pass would be another';

support(`${RBAC}.RBAC`, {
  acts: ['action', 'policies'],
  ignored: { audit_logging_options: 'there are no audit loggers; statistics and the access log tell' },
});
support(`${RBAC}.Policy`, {
  acts: ['permissions', 'principals'],
  refused: { condition: NO_EXPRESSIONS, checked_condition: NO_EXPRESSIONS },
});
support(`${RBAC}.Permission`, {
  acts: [
    'and_rules',
    'or_rules',
    'any',
    'header',
    'url_path',
    'destination_ip',
    'destination_port',
    'destination_port_range',
    'metadata',
    'not_rule',
    'requested_server_name',
  ],
  refused: { matcher: 'custom matchers are not built', uri_template: 'paths are matched by text alone' },
});
support(`${RBAC}.Permission.Set`, { acts: ['rules'] });
support(`${RBAC}.Principal`, {
  acts: [
    'and_ids',
    'or_ids',
    'any',
    'authenticated',
    'source_ip',
    'direct_remote_ip',
    'remote_ip',
    'header',
    'url_path',
    'metadata',
    'not_id',
  ],
  refused: { filter_state: 'there is no filter state to look at' },
});
support(`${RBAC}.Principal.Set`, { acts: ['ids'] });
support(`${RBAC}.Principal.Authenticated`, { acts: ['principal_name'] });
support('envoy.type.matcher.v3.PathMatcher', { acts: ['path'] });
support('envoy.type.v3.Int32Range', { acts: ['start', 'end'] });

/** A connection has no headers, and a rule that asks for them is a mistake there. */
export type RbacLayer = 'connection' | 'request';

type Common = Extract<RbacPermission, { readonly kind: 'header' | 'path' | 'metadata' }>;

function decodeCommon(rule: MessageObject, layer: RbacLayer, ctx: DecodeContext): Common | undefined {
  if (layer === 'connection' && has(rule, 'header')) ctx.error('not supported by RBAC network filter', 'header');
  const header = inside(rule, 'header', ctx, (value) => decodeHeaderMatch(value, ctx));
  if (header !== undefined) return { kind: 'header', match: header };
  const path = inside(rule, 'url_path', ctx, (value) =>
    ctx.at('path', () => decodeStringMatch(message(value, 'path'), ctx)),
  );
  if (path !== undefined) return { kind: 'path', match: path };
  const metadata = inside(rule, 'metadata', ctx, (value) => decodeMetadataMatch(value, ctx));
  return metadata && { kind: 'metadata', match: metadata };
}

function decodePermission(rule: MessageObject, layer: RbacLayer, ctx: DecodeContext): RbacPermission {
  const decode = (one: MessageObject) => decodePermission(one, layer, ctx);
  const and = inside(rule, 'and_rules', ctx, (set) => each(set, 'rules', ctx, decode));
  if (and !== undefined) return { kind: 'and', of: and };
  const or = inside(rule, 'or_rules', ctx, (set) => each(set, 'rules', ctx, decode));
  if (or !== undefined) return { kind: 'or', of: or };
  const not = inside(rule, 'not_rule', ctx, decode);
  if (not !== undefined) return { kind: 'not', of: not };
  const range = inside(rule, 'destination_ip', ctx, (value) => decodeCidr(value, ctx));
  if (range !== undefined) return { kind: 'destination-ip', range };
  const ports = message(rule, 'destination_port_range');
  if (ports !== undefined) return { kind: 'destination-port', from: number(ports, 'start'), to: number(ports, 'end') };
  if (has(rule, 'destination_port')) {
    const port = number(rule, 'destination_port');
    return { kind: 'destination-port', from: port, to: port + 1 };
  }
  const serverName = inside(rule, 'requested_server_name', ctx, (value) => decodeStringMatch(value, ctx));
  if (serverName !== undefined) return { kind: 'server-name', match: serverName };
  return decodeCommon(rule, layer, ctx) ?? anything(rule, ctx);
}

const SOURCES = { source_ip: 'connection', direct_remote_ip: 'direct', remote_ip: 'remote' } as const;

function decodePrincipal(id: MessageObject, layer: RbacLayer, ctx: DecodeContext): RbacPrincipal {
  const decode = (one: MessageObject) => decodePrincipal(one, layer, ctx);
  const and = inside(id, 'and_ids', ctx, (set) => each(set, 'ids', ctx, decode));
  if (and !== undefined) return { kind: 'and', of: and };
  const or = inside(id, 'or_ids', ctx, (set) => each(set, 'ids', ctx, decode));
  if (or !== undefined) return { kind: 'or', of: or };
  const not = inside(id, 'not_id', ctx, decode);
  if (not !== undefined) return { kind: 'not', of: not };
  for (const [field, of] of Object.entries(SOURCES)) {
    const range = inside(id, field, ctx, (value) => decodeCidr(value, ctx));
    if (range !== undefined) return { kind: 'source-ip', of, range };
  }
  const authenticated = message(id, 'authenticated');
  if (authenticated !== undefined) {
    const name = ctx.at('authenticated', () =>
      inside(authenticated, 'principal_name', ctx, (value) => decodeStringMatch(value, ctx)),
    );
    return name === undefined ? { kind: 'authenticated' } : { kind: 'authenticated', name };
  }
  return decodeCommon(id, layer, ctx) ?? anything(id, ctx);
}

/** A rule that this decoder does not know must never mean everybody. */
function anything(rule: MessageObject, ctx: DecodeContext): { readonly kind: 'any' } {
  if (!has(rule, 'any')) ctx.error('is not supported: nothing that is known is asked for');
  return { kind: 'any' };
}

function decodePolicy(name: string, policy: MessageObject, layer: RbacLayer, ctx: DecodeContext): RbacPolicy {
  return {
    name,
    permissions: each(policy, 'permissions', ctx, (one) => decodePermission(one, layer, ctx)),
    principals: each(policy, 'principals', ctx, (one) => decodePrincipal(one, layer, ctx)),
  };
}

const ACTIONS: { readonly [action: string]: RbacRules['action'] } = { ALLOW: 'allow', DENY: 'deny', LOG: 'log' };

/** envoy.config.rbac.v3.RBAC. */
export function decodeRbac(rbac: MessageObject, layer: RbacLayer, ctx: DecodeContext): RbacRules {
  const policies = ctx.at('policies', () =>
    entries(rbac, 'policies').map(([name, policy]) =>
      ctx.atKey(name, () => decodePolicy(name, isMessage(policy) ? policy : {}, layer, ctx)),
    ),
  );
  // As bytes, not as a language sorts
  policies.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  return { action: ACTIONS[word(rbac, 'action', 'ALLOW')] ?? 'allow', policies };
}
