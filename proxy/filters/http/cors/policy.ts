/** What the places of one route say of cross-origin requests, the most specific first, read as one. */
import type { CorsPolicy } from '../../../../xds-client/model/filters/cors.ts';
import { compileStringMatch, type StringTest } from '../../../route/string-match.ts';

/** A policy's origins, compiled once a policy. Those whose test takes `*` take any. */
const origins = new WeakMap<CorsPolicy, readonly StringTest[]>();

function testsOf(policy: CorsPolicy): readonly StringTest[] {
  let tests = origins.get(policy);
  if (tests === undefined) {
    tests = policy.allowOrigins.map(compileStringMatch);
    origins.set(policy, tests);
  }
  return tests;
}

export function allowsOrigin(policies: readonly CorsPolicy[], origin: string): boolean {
  const policy = policies.find(({ allowOrigins }) => allowOrigins.length > 0);
  return policy !== undefined && testsOf(policy).some((test) => test('*') || test(origin));
}

type TextMember = 'allowMethods' | 'allowHeaders' | 'exposeHeaders' | 'maxAge';
type FlagMember = 'allowCredentials' | 'allowPrivateNetworkAccess' | 'forwardNotMatchingPreflights';

/** `''`: none of them says it. */
export function textOf(policies: readonly CorsPolicy[], member: TextMember): string {
  for (const policy of policies) if (policy[member] !== '') return policy[member];
  return '';
}

export function flagOf(policies: readonly CorsPolicy[], member: FlagMember, otherwise: boolean): boolean {
  for (const policy of policies) {
    const said = policy[member];
    if (said !== undefined) return said;
  }
  return otherwise;
}
