/** The HTTP filter chain of a connection manager, and the router at its end. */
import type { MessageObject } from '../../protos/index.ts';
import type { HttpFilterConfig } from '../model/http-connection-manager.ts';
import { decodeAccessLogs } from './access-log.ts';
import { each } from './common.ts';
import { type DecodeContext, type Extension, type ExtensionResults, support } from './context.ts';
import { decodeExtension } from './extension.ts';
import { any, flag, has, text, texts } from './fields.ts';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3';
const ROUTER_TYPE = 'envoy.extensions.filters.http.router.v3.Router';

support(`${HCM}.HttpFilter`, {
  acts: ['name', 'typed_config', 'is_optional', 'disabled'],
  refused: { config_discovery: 'configurations of single filters are not asked for yet; give typed_config' },
});
support(ROUTER_TYPE, {
  acts: ['suppress_envoy_headers', 'strict_check_headers', 'respect_expected_rq_timeout'],
  ignored: {
    upstream_log: 'upstream lines are not written yet',
    dynamic_stats: 'cluster statistics by status are always kept',
    start_child_span: 'the tracing configuration says which spans are made',
    upstream_log_options: 'upstream lines are written when an attempt ends',
    suppress_grpc_request_failure_code_stats: 'gRPC statuses are not counted as HTTP ones',
  },
  refused: { upstream_http_filters: 'HTTP filters run downstream of the router alone' },
});

export const ROUTER: Extension<ExtensionResults['http-filter']> = {
  name: 'envoy.filters.http.router',
  type: ROUTER_TYPE,
  decode: (config, ctx) => ({
    terminal: true,
    config: {
      // The plain data of the model, as every filter's configuration is.
      upstreamLogs: JSON.parse(JSON.stringify(decodeAccessLogs(config, 'upstream_log', ctx))),
      suppressEnvoyHeaders: flag(config, 'suppress_envoy_headers'),
      strictCheckHeaders: texts(config, 'strict_check_headers').map((name) => name.toLowerCase()),
      respectExpectedRqTimeout: flag(config, 'respect_expected_rq_timeout'),
    },
  }),
};

interface Decoded {
  readonly filter: HttpFilterConfig;
  readonly terminal: boolean;
}

function decodeOne(filter: MessageObject, ctx: DecodeContext): Decoded | undefined {
  const name = text(filter, 'name');
  const optional = flag(filter, 'is_optional');
  // The field is refused by its declaration.
  if (has(filter, 'config_discovery')) return undefined;
  const found = ctx.at('typed_config', () =>
    decodeExtension('http-filter', any(filter, 'typed_config'), name, ctx, optional),
  );
  if (found.kind !== 'acts') return undefined;
  const { config, terminal } = found.value;
  return {
    filter: { name, extension: { name, typeUrl: found.type, config }, disabled: flag(filter, 'disabled') },
    terminal,
  };
}

/** The chain: its last filter answers or forwards, none before it does. `owner` names the chain in errors. */
export function decodeHttpFilters(
  of: MessageObject,
  field: string,
  owner: string,
  ctx: DecodeContext,
): HttpFilterConfig[] {
  const chain: HttpFilterConfig[] = [];
  const lastIndex = Array.isArray(of[field]) ? of[field].length - 1 : -1;
  if (lastIndex < 0) ctx.error(`${owner} has no filter; the last one has to be ${ROUTER.name}`, field);
  each(of, field, ctx, (filter, index) => {
    const name = text(filter, 'name');
    const errorsBefore = ctx.errors.length;
    const decoded = decodeOne(filter, ctx);
    const label = `filter named ${name} of type ${decoded?.filter.extension.typeUrl ?? 'unknown'}`;
    if (decoded?.terminal === true && index !== lastIndex) {
      ctx.error(`terminal ${label} must be the last filter in a ${owner}.`);
    }
    const judged = ctx.errors.length === errorsBefore && !has(filter, 'config_discovery');
    if (index === lastIndex && decoded?.terminal !== true && judged) {
      ctx.error(`non-terminal ${label} is the last filter in a ${owner}.`);
    }
    if (decoded !== undefined) chain.push(decoded.filter);
  });
  return chain;
}
