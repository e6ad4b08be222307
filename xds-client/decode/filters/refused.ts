/**
 * HTTP filters that are refused by name: what guards, what cannot be known, and what another filter does here. The reason
 * says what to use instead, where there is something.
 */
import type { Extension } from '../context.ts';

const HTTP = 'envoy.extensions.filters.http';
const GUARDS = 'requests would pass that it is there to stop';
const LIMITS = 'load would pass that it is there to hold back; circuit breakers of the cluster limit it';
const UNKNOWN = 'and what it does cannot be known';
const INSTEAD =
  'headers are changed by envoy.filters.http.header_mutation or the headers of a route, metadata is set by ' +
  'envoy.filters.http.set_metadata, browsers are answered by envoy.filters.http.cors, fixed answers come from direct_response';

function refused(filter: string, type: string, reason: string): Extension<never> {
  return { name: `envoy.filters.http.${filter}`, type: `${HTTP}.${type}`, refused: reason };
}

export const REFUSED_HTTP_FILTERS: readonly Extension<never>[] = [
  refused('rbac', 'rbac.v3.RBAC', GUARDS),
  refused('jwt_authn', 'jwt_authn.v3.JwtAuthentication', GUARDS),
  refused('ext_authz', 'ext_authz.v3.ExtAuthz', GUARDS),
  refused('basic_auth', 'basic_auth.v3.BasicAuth', GUARDS),
  refused('api_key_auth', 'api_key_auth.v3.ApiKeyAuth', GUARDS),
  refused('oauth2', 'oauth2.v3.OAuth2', GUARDS),
  refused('csrf', 'csrf.v3.CsrfPolicy', GUARDS),
  refused('local_ratelimit', 'local_ratelimit.v3.LocalRateLimit', GUARDS),
  refused('ratelimit', 'ratelimit.v3.RateLimit', GUARDS),
  refused('rate_limit_quota', 'rate_limit_quota.v3.RateLimitQuotaFilterConfig', GUARDS),
  refused('admission_control', 'admission_control.v3.AdmissionControl', LIMITS),
  refused('adaptive_concurrency', 'adaptive_concurrency.v3.AdaptiveConcurrency', LIMITS),
  refused('bandwidth_limit', 'bandwidth_limit.v3.BandwidthLimit', LIMITS),
  refused('lua', 'lua.v3.Lua', `Lua is not run, ${UNKNOWN}; ${INSTEAD}`),
  refused('wasm', 'wasm.v3.Wasm', `WebAssembly is not run, ${UNKNOWN}; ${INSTEAD}`),
  refused('golang', 'golang.v3alpha.Config', `Go plugins are not run, ${UNKNOWN}; ${INSTEAD}`),
  refused(
    'dynamic_modules',
    'dynamic_modules.v3.DynamicModuleFilter',
    `dynamic modules are not run, ${UNKNOWN}; ${INSTEAD}`,
  ),
  refused('ext_proc', 'ext_proc.v3.ExternalProcessor', `processors are not called, ${UNKNOWN}; ${INSTEAD}`),
  refused(
    'header_to_metadata',
    'header_to_metadata.v3.Config',
    'headers do not become metadata; constants are set by envoy.filters.http.set_metadata, and logs read headers as %REQ(name)%',
  ),
  refused(
    'custom_response',
    'custom_response.v3.CustomResponse',
    'answers of upstreams are not replaced; those of the proxy are changed by local_reply_config',
  ),
  refused(
    'credential_injector',
    'credential_injector.v3.CredentialInjector',
    'requests would go without their credential; a route adds a constant one by request_headers_to_add',
  ),
  refused(
    'file_system_buffer',
    'file_system_buffer.v3.FileSystemBufferFilterConfig',
    'requests are not kept on disk; envoy.filters.http.buffer holds them in memory',
  ),
  refused('gzip', 'gzip.v3.Gzip', 'Envoy has it no more; use envoy.filters.http.compressor'),
];

export const REFUSED_HTTP_ROUTES: readonly Extension<never>[] = [
  refused('rbac', 'rbac.v3.RBACPerRoute', GUARDS),
  refused('jwt_authn', 'jwt_authn.v3.PerRouteConfig', GUARDS),
  refused('ext_authz', 'ext_authz.v3.ExtAuthzPerRoute', GUARDS),
  refused('basic_auth', 'basic_auth.v3.BasicAuthPerRoute', GUARDS),
  refused('csrf', 'csrf.v3.CsrfPolicy', GUARDS),
  refused('local_ratelimit', 'local_ratelimit.v3.LocalRateLimit', GUARDS),
  refused('ratelimit', 'ratelimit.v3.RateLimitPerRoute', GUARDS),
  refused('bandwidth_limit', 'bandwidth_limit.v3.BandwidthLimit', LIMITS),
  refused('lua', 'lua.v3.LuaPerRoute', `Lua is not run, ${UNKNOWN}; ${INSTEAD}`),
  refused('ext_proc', 'ext_proc.v3.ExtProcPerRoute', `processors are not called, ${UNKNOWN}; ${INSTEAD}`),
];
