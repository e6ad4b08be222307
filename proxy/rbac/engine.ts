/** envoy.config.rbac.v3.RBAC, compiled: who may connect, or ask. For connections and for requests alike. Pure. */
import type { CidrRange, Json, StringMatch } from '../../xds-client/model/common.ts';
import type { MetadataMatch } from '../../xds-client/model/metadata-match.ts';
import type { RbacPermission, RbacPolicy, RbacPrincipal, RbacRules } from '../../xds-client/model/rbac.ts';
import type { ConnectionInfo, TlsInfo } from '../http/connection-info.ts';
import type { RequestHead } from '../http/headers.ts';
import { parseIp } from '../listener/addresses.ts';
import { HeaderTest } from '../route/header-match.ts';
import { compileStringMatch } from '../route/string-match.ts';
import { compileMetadataMatch } from './metadata-match.ts';

/** Who asks for what. */
export interface RbacSubject {
  readonly connection: ConnectionInfo;
  /** The downstream: of the connection, or as a request's headers tell it. */
  readonly remoteAddress: string;
  /** `undefined` on L4. */
  readonly head: RequestHead | undefined;
  /** Dynamic metadata of that namespace. */
  metadata(namespace: string): Json | undefined;
}

export interface RbacVerdict {
  readonly allowed: boolean;
  /** The policy that matched. */
  readonly policy: string | undefined;
}

type Test = (subject: RbacSubject) => boolean;

export class RbacEngine {
  private readonly action: RbacRules['action'];
  private readonly policies: readonly { readonly name: string; readonly matches: Test }[];

  constructor({ action, policies }: RbacRules) {
    this.action = action;
    this.policies = policies.map((policy) => ({ name: policy.name, matches: compilePolicy(policy) }));
  }

  /** The first policy that matches decides; where none does, what is not allowed is refused. */
  judge(subject: RbacSubject): RbacVerdict {
    const policy = this.policies.find(({ matches }) => matches(subject))?.name;
    if (this.action === 'log') return { allowed: true, policy };
    return { allowed: (policy !== undefined) === (this.action === 'allow'), policy };
  }
}

function compilePolicy({ permissions, principals }: RbacPolicy): Test {
  const permitted = any(permissions.map(compilePermission));
  const known = any(principals.map(compilePrincipal));
  return (subject) => permitted(subject) && known(subject);
}

const any =
  (tests: readonly Test[]): Test =>
  (subject) =>
    tests.some((test) => test(subject));
const all =
  (tests: readonly Test[]): Test =>
  (subject) =>
    tests.every((test) => test(subject));
const not =
  (test: Test): Test =>
  (subject) =>
    !test(subject);

function compilePermission(permission: RbacPermission): Test {
  switch (permission.kind) {
    case 'and':
      return all(permission.of.map(compilePermission));
    case 'or':
      return any(permission.of.map(compilePermission));
    case 'not':
      return not(compilePermission(permission.of));
    case 'destination-ip': {
      const within = compileCidr(permission.range);
      return ({ connection }) => within(connection.localAddress);
    }
    case 'destination-port': {
      const { from, to } = permission;
      return ({ connection: { localPort } }) => localPort >= from && localPort < to;
    }
    case 'server-name': {
      const test = compileStringMatch(permission.match);
      return ({ connection }) => test(connection.requestedServerName ?? '');
    }
    default:
      return compileCommon(permission);
  }
}

function compilePrincipal(principal: RbacPrincipal): Test {
  switch (principal.kind) {
    case 'and':
      return all(principal.of.map(compilePrincipal));
    case 'or':
      return any(principal.of.map(compilePrincipal));
    case 'not':
      return not(compilePrincipal(principal.of));
    case 'authenticated':
      return compileAuthenticated(principal.name);
    case 'source-ip': {
      const within = compileCidr(principal.range);
      if (principal.of === 'remote') return ({ remoteAddress }) => within(remoteAddress);
      if (principal.of === 'direct') return ({ connection }) => within(connection.directRemoteAddress);
      return ({ connection }) => within(connection.remoteAddress);
    }
    default:
      return compileCommon(principal);
  }
}

type Common = Extract<RbacPermission, { readonly kind: 'any' | 'header' | 'path' | 'metadata' }>;

function compileCommon(rule: Common): Test {
  switch (rule.kind) {
    case 'any':
      return () => true;
    case 'header': {
      const test = new HeaderTest(rule.match);
      return ({ head }) => head !== undefined && test.matchesRequest(head);
    }
    case 'path':
      return compilePath(rule.match);
    case 'metadata':
      return compileMetadata(rule.match);
  }
}

function compilePath(match: StringMatch): Test {
  const test = compileStringMatch(match);
  return ({ head }) => head !== undefined && test(head.path.split(/[?#]/, 1)[0] ?? '');
}

function compileMetadata(match: MetadataMatch): Test {
  const test = compileMetadataMatch(match);
  return (subject) => test(subject.metadata(match.namespace));
}

function compileCidr({ address, prefixLength }: CidrRange): (address: string) => boolean {
  const range = parseIp(address);
  if (range === undefined) return () => false;
  const shift = BigInt((range.family === 4 ? 32 : 128) - prefixLength);
  const network = range.value >> shift;
  return (text) => {
    const ip = parseIp(text);
    return ip !== undefined && ip.family === range.family && ip.value >> shift === network;
  };
}

/** A name is held against the URI SANs, then the DNS SANs, then the subject. An unverified certificate names nobody. */
function compileAuthenticated(name: StringMatch | undefined): Test {
  if (name === undefined) return ({ connection }) => trustedPeer(connection.tls) !== undefined;
  const test = compileStringMatch(name);
  return ({ connection }) => {
    const peer = trustedPeer(connection.tls);
    return peer !== undefined && (peer.sans.uris.some(test) || peer.sans.dnsNames.some(test) || test(peer.subject));
  };
}

function trustedPeer(tls: TlsInfo | undefined): TlsInfo['peer'] {
  return tls?.peerValidated === true ? tls.peer : undefined;
}
