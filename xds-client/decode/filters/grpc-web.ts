/** The gRPC-Web filter: it has nothing to configure. */
import { type Extension, type ExtensionResults, support } from '../context.ts';

const TYPE = 'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb';

support(TYPE, { acts: [] });

export const GRPC_WEB: Extension<ExtensionResults['http-filter']> = {
  name: 'envoy.filters.http.grpc_web',
  type: TYPE,
  decode: () => ({ terminal: false, config: {} }),
};
