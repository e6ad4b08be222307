/** `typed_per_filter_config`: what a route, virtual host or weighted cluster says to single filters. */
import type { MessageObject } from '../../protos/index.ts';
import type { ExtensionConfig, Json } from '../model/common.ts';
import { type DecodeContext, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, asAny, entries, flag } from './fields.ts';
import { messageName, unpack } from './unpack.ts';

const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';

support(FILTER_CONFIG, { acts: ['config', 'is_optional', 'disabled'] });

function extensionConfig(name: string, typeUrl: string, config: Json): ExtensionConfig {
  return { name, typeUrl, config };
}

function decodeOne(name: string, value: unknown, ctx: DecodeContext, optional: boolean): ExtensionConfig | undefined {
  const config = asAny(value);
  if (config === undefined) {
    ctx.error('value is required');
    return undefined;
  }
  if (messageName(config.type_url) === FILTER_CONFIG) return decodeWrapped(name, config, ctx);
  const found = decodeExtension('http-filter-route', config, name, ctx, optional);
  return found.kind === 'acts' ? extensionConfig(name, found.type, found.value) : undefined;
}

/** envoy FilterConfig: switches the filter off here, or configures it with a word on whether it may be unknown. */
function decodeWrapped(name: string, config: NonNullable<ReturnType<typeof asAny>>, ctx: DecodeContext) {
  const wrapper = unpack(config, FILTER_CONFIG, ctx);
  if (wrapper === undefined) return undefined;
  if (flag(wrapper, 'disabled')) return extensionConfig(name, FILTER_CONFIG, { disabled: true });
  const inner = any(wrapper, 'config');
  return inner === undefined
    ? extensionConfig(name, FILTER_CONFIG, { disabled: false })
    : ctx.at('config', () => decodeOne(name, inner, ctx, flag(wrapper, 'is_optional')));
}

/** Filter name to its configuration here. A filter that is only switched has the type of FilterConfig and `{disabled}`. */
export function decodePerFilterConfig(
  of: MessageObject | undefined,
  ctx: DecodeContext,
): { readonly [filterName: string]: ExtensionConfig } {
  const configs = entries(of, 'typed_per_filter_config');
  if (configs.length === 0) return {};
  const decoded: [string, ExtensionConfig][] = [];
  ctx.at('typed_per_filter_config', () => {
    for (const [name, value] of configs) {
      const config = ctx.atKey(name, () => decodeOne(name, value, ctx, false));
      if (config !== undefined) decoded.push([name, config]);
    }
  });
  return Object.fromEntries(decoded);
}
