/** What an HTTP filter costs a request, beside the same chain with a filter that does nothing. */
import { BUFFER } from '../../proxy/filters/http/buffer/buffer.ts';
import { type ChainFilter, type ChainOwner, ChainRun } from '../../proxy/filters/http/chain.ts';
import { CONTINUE, type FilterContext, type HttpFilterFactory } from '../../proxy/filters/http/contract.ts';
import { CORS } from '../../proxy/filters/http/cors/cors.ts';
import { FAULT } from '../../proxy/filters/http/fault/fault.ts';
import { GRPC_STATS } from '../../proxy/filters/http/grpc-stats/grpc-stats.ts';
import { HEADER_MUTATION } from '../../proxy/filters/http/header-mutation/header-mutation.ts';
import { SET_METADATA } from '../../proxy/filters/http/set-metadata/set-metadata.ts';
import type { RequestSink } from '../../proxy/filters/http/stream-ends.ts';
import { HeaderMap, type RequestHead } from '../../proxy/http/headers.ts';
import { StreamInfo } from '../../proxy/http/stream-info.ts';
import { WorkerStats } from '../../proxy/observe/stats/worker-stats.ts';
import { createTimers } from '../../proxy/timers.ts';
import { clusterTable, matchedRoute } from '../../test/http-filters/clusters.ts';
import { connection } from '../../test/observe/stream-info.ts';
import type { FaultConfig } from '../../xds-client/model/filters/fault.ts';
import type { GrpcStatsConfig } from '../../xds-client/model/filters/grpc-stats.ts';
import type { HeaderMutationConfig, HeaderStep } from '../../xds-client/model/filters/header-mutation.ts';
import type { SetMetadataConfig } from '../../xds-client/model/filters/set-metadata.ts';
import { plain } from '../../xds-client/model/plain.ts';
import type { Bench } from './measure.ts';

const nothing = (): undefined => undefined;
const TERMINAL: RequestSink = {
  onRequestHead: nothing,
  onRequestData: nothing,
  onRequestTrailers: nothing,
  onDownstreamDrain: nothing,
  onDestroy: nothing,
};
const ROUTE = matchedRoute('a');
const CONNECTION = connection();

function fields(entries: readonly (readonly [string, string])[]): HeaderMap {
  const map = new HeaderMap();
  for (const [name, value] of entries) map.add(name, value);
  return map;
}

const REQUEST = fields([
  ['user-agent', 'grpc-node-js/1.14.1'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
  ['x-request-id', '543f2e80-8714-44f5-aff1-9e01cf880b7b'],
]);
const RESPONSE = fields([
  ['content-type', 'application/grpc'],
  ['date', 'Sat, 21 Nov 2026 12:01:59 GMT'],
]);
const PLAIN_REQUEST = fields([
  ['user-agent', 'curl/7.88.1'],
  ['content-type', 'application/json'],
  ['x-request-id', '543f2e80-8714-44f5-aff1-9e01cf880b7b'],
]);
const PLAIN_RESPONSE = fields([
  ['content-type', 'application/json'],
  ['date', 'Sat, 21 Nov 2026 12:01:59 GMT'],
]);
const TRAILERS = fields([
  ['grpc-status', '0'],
  ['grpc-message', ''],
]);
/** One gRPC message of 100 bytes. */
const MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 100]), Buffer.alloc(100)]);

function owner(info: StreamInfo): ChainOwner {
  return {
    info,
    matchedRoute: () => ROUTE,
    virtualCluster: nothing,
    perRouteConfigs: () => [],
    clearRouteCache: nothing,
    failed(error) {
      throw error;
    },
    restart: nothing,
    answering: nothing,
    tooLarge: nothing,
    sendInformational: nothing,
    sendHead: () => true,
    sendData: () => true,
    sendTrailers: nothing,
    sendLocalReply: nothing,
    resetStream: nothing,
    pauseRequest: nothing,
    resumeRequest: nothing,
  };
}

const NOTHING: HttpFilterFactory = {
  name: 'nothing',
  typeUrl: 'nothing',
  build: () => ({ create: () => ({ onRequestHead: () => CONTINUE }) }),
};

type Configured = readonly [factory: HttpFilterFactory, config: object];

/** A message each way through a chain of filters: a unary call of gRPC, or a plain request. */
function exchange(name: string, configured: readonly Configured[], grpc: boolean): Bench {
  const stats = new WorkerStats(nothing);
  const context: FilterContext = {
    statPrefix: 'http.bench.',
    stats,
    counter: (full) => stats.counter(full),
    clusters: clusterTable(['a'], stats),
    timers: createTimers(),
    runtime: { flag: nothing, number: nothing, share: nothing },
    server: { healthFailing: false, cluster: '' },
    now: () => 0,
    random: () => 0,
  };
  const filters = configured.map(
    ([factory, config]): ChainFilter => ({
      name: factory.name,
      instance: factory.build(plain(config), context),
      disabled: false,
    }),
  );
  const asks = grpc ? REQUEST : PLAIN_REQUEST;
  const answers = grpc ? RESPONSE : PLAIN_RESPONSE;
  return {
    name,
    run(count) {
      let bytes = 0;
      for (let i = 0; i < count; i++) {
        const head: RequestHead = {
          method: 'POST',
          path: '/pay.Ledger/Book',
          authority: 'a',
          scheme: 'http',
          version: 20,
          protocol: undefined,
          headers: asks,
        };
        const info = new StreamInfo(CONNECTION, head, 0, 0);
        const chain = new ChainRun(owner(info), filters, 1 << 20, () => TERMINAL);
        chain.onRequestHead(head, false);
        chain.onRequestData(MESSAGE, true);
        chain.sendHead({ status: 200, headers: answers }, false);
        chain.sendData(MESSAGE, !grpc);
        if (grpc) chain.sendTrailers(TRAILERS);
        chain.onDestroy();
        bytes += MESSAGE.length;
      }
      return bytes;
    },
  };
}

/** A unary call through a chain of one filter. */
function unary(name: string, factory: HttpFilterFactory, config: object): Bench {
  return exchange(name, [[factory, config]], true);
}

/** As in every sidecar of Istio. */
const NO_FAULTS: FaultConfig = {
  upstreamCluster: '',
  headers: [],
  downstreamNodes: [],
  runtime: {
    delayPercent: '',
    delayMs: '',
    abortPercent: '',
    abortHttpStatus: '',
    abortGrpcStatus: '',
    maxActive: '',
    responseRatePercent: '',
  },
  countDownstreamClusters: true,
  metadata: {},
};

const over = (name: string, value: string): HeaderStep => ({
  kind: 'append',
  header: { name, value, action: 'overwrite-or-add', keepEmptyValue: false },
});
const TWO_HEADERS: HeaderMutationConfig = {
  mutations: {
    request: [over('x-tenant', 'pay')],
    query: [],
    response: [over('x-route', '%ROUTE_NAME%')],
    requestTrailers: [],
    responseTrailers: [],
  },
  mostSpecificWins: false,
};
const ONE_VALUE: SetMetadataConfig = { entries: [{ namespace: 'pay', value: { tier: 'gold' }, overwrite: false }] };

export function filterBenches(): Bench[] {
  const istio: GrpcStatsConfig = { emitFilterState: true, methods: [], upstreamTime: false, replaceDots: false };
  const sidecar: readonly Configured[] = [
    [GRPC_STATS, istio],
    [FAULT, NO_FAULTS],
    [CORS, {}],
  ];
  return [
    unary('filters: gRPC call, a filter that does nothing', NOTHING, {}),
    unary('filters: gRPC call, grpc_stats as Istio has it', GRPC_STATS, istio),
    unary('filters: gRPC call, grpc_stats with all methods', GRPC_STATS, { ...istio, methods: 'all' }),
    unary('filters: gRPC call, fault without faults', FAULT, NO_FAULTS),
    unary('filters: gRPC call, CORS without an origin', CORS, {}),
    unary('filters: gRPC call, two headers changed', HEADER_MUTATION, TWO_HEADERS),
    unary('filters: gRPC call, one metadata value', SET_METADATA, ONE_VALUE),
    unary('filters: gRPC call, held whole', BUFFER, { maxRequestBytes: 1000 }),
    exchange('filters: plain request, a filter that does nothing', [[NOTHING, {}]], false),
    exchange('filters: plain request, grpc_stats, fault and cors of a sidecar', sidecar, false),
  ];
}
