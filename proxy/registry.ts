/**
 * The one list of filters, by type URL. A new one is its folder, a line here, a decoder line in
 * xds-client/decode/extensions.ts and a test. The connection manager, its router and the TCP proxy are built in: they
 * have models of their own.
 */
import type { HttpFilterFactory } from './filters/http/contract.ts';
import type { ExtensionFilterFactory } from './filters/network/contract.ts';

export const HTTP_FILTERS: readonly HttpFilterFactory[] = [];

export const NETWORK_FILTERS: readonly ExtensionFilterFactory[] = [];
