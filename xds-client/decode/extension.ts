/** Looks an extension up in the context's list by the type of its configuration, and decodes it. */
import { type Any, hasMessage } from '../../protos/index.ts';
import type { DecodeContext, Extension, ExtensionCategory, ExtensionResults } from './context.ts';
import { configOf, typeNameOf, unpackConfig } from './unpack.ts';

export type Found<T> =
  | { readonly kind: 'acts'; readonly type: string; readonly value: T }
  | { readonly kind: 'ignored' }
  /** An error was noted. */
  | { readonly kind: 'refused' };

/**
 * Decodes an extension's configuration at the context's path. `optional`: the sender says that a proxy without the
 * extension may go on, so an unknown or refused one is left aside with a note.
 */
export function decodeExtension<C extends ExtensionCategory>(
  category: C,
  config: Any | undefined,
  name: string,
  ctx: DecodeContext,
  optional = false,
): Found<ExtensionResults[C]> {
  if (config === undefined) {
    ctx.error(`${category} "${name}" has no typed_config`);
    return { kind: 'refused' };
  }
  const type = typeNameOf(config, ctx);
  if (type === undefined) return { kind: 'refused' };
  const known: Extension<ExtensionResults[C]> | undefined = ctx.extensions[category].find(
    (extension) => extension.type === type,
  );
  if (known !== undefined && 'decode' in known) {
    const message = unpackConfig(config, type, ctx);
    if (message === undefined) return { kind: 'refused' };
    return { kind: 'acts', type, value: known.decode(message, ctx) };
  }
  if (known !== undefined && 'ignored' in known) {
    // Undecodable bytes are an error even where the configuration is left aside.
    if (hasMessage(type)) configOf(config, type, ctx);
    ctx.ignore(type, known.ignored);
    return { kind: 'ignored' };
  }
  const reason = known?.refused ?? `Tollway has no ${category.replaceAll('-', ' ')} of type "${type}"`;
  if (optional) {
    ctx.ignore(type, `optional: ${reason}`);
    return { kind: 'ignored' };
  }
  ctx.error(`${category.replaceAll('-', ' ')} "${name}" is not supported: ${reason}`);
  return { kind: 'refused' };
}
