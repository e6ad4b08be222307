import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedFilter, refusedRoute } from './decoding.ts';

const HTTP = 'envoy.extensions.filters.http';

test('a filter that runs somebody’s code is refused by its name, with what to use instead', () => {
  const filters: readonly (readonly [type: string, message: object])[] = [
    ['lua.v3.Lua', { inline_code: 'function envoy_on_request() end' }],
    ['wasm.v3.Wasm', { config: { name: 'w' } }],
    ['golang.v3alpha.Config', { plugin_name: 'p' }],
    ['dynamic_modules.v3.DynamicModuleFilter', { filter_name: 'm' }],
    ['ext_proc.v3.ExternalProcessor', { grpc_service: { envoy_grpc: { cluster_name: 'c' } } }],
  ];
  for (const [type, message] of filters) {
    const [error = '', ...more] = refusedFilter(`${HTTP}.${type}`, { ...message });
    assert.deepEqual(more, [], type);
    assert.match(
      error,
      /http filter "it" is not supported: .* envoy\.filters\.http\.header_mutation .*set_metadata/,
      type,
    );
  }
  const [route] = refusedRoute(`${HTTP}.lua.v3.LuaPerRoute`, { disabled: true });
  assert.match(route ?? '', /http filter route "it" is not supported: Lua is not run, .*header_mutation/);
});

test('a filter that has an heir names it', () => {
  const heirs = {
    'gzip.v3.Gzip': /compressor/,
    'header_to_metadata.v3.Config': /set_metadata/,
    'custom_response.v3.CustomResponse': /local_reply_config/,
  };
  for (const [type, heir] of Object.entries(heirs)) assert.match(refusedFilter(`${HTTP}.${type}`, {})[0] ?? '', heir);
});
