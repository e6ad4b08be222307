/** Access log filters, compiled. Local reply mappers use the same ones. */
import type { AccessLogFilter } from '../../../xds-client/model/access-log.ts';
import type { HeaderMatch } from '../../../xds-client/model/common.ts';
import type { RequestHead } from '../../http/headers.ts';
import type { StreamInfo } from '../../http/stream-info.ts';
import { flagBits } from './flags.ts';
import { grpcStatusOf } from './grpc-status.ts';

export type LogPredicate = (info: StreamInfo) => boolean;

/** What filters need of other rooms. */
export interface FilterTools {
  /** Compiles a header matcher (proxy/route/). */
  readonly headerMatcher: (match: HeaderMatch) => (head: RequestHead) => boolean;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** The runtime's number of that name. */
  readonly runtimeNumber?: (key: string) => number | undefined;
}

const COMPARE = {
  eq: (a: number, b: number) => a === b,
  ne: (a: number, b: number) => a !== b,
  ge: (a: number, b: number) => a >= b,
  le: (a: number, b: number) => a <= b,
};

/** `undefined` lets everything through. */
export function compileFilter(filter: AccessLogFilter | undefined, tools: FilterTools): LogPredicate {
  if (filter === undefined) return () => true;
  switch (filter.kind) {
    case 'status':
    case 'duration': {
      const compare = COMPARE[filter.op];
      const { runtimeKey, value } = filter;
      const limit = (): number => (runtimeKey === undefined ? value : (tools.runtimeNumber?.(runtimeKey) ?? value));
      if (filter.kind === 'status') return (info) => compare(info.response?.status ?? 0, limit());
      return (info) => compare(Math.floor(info.completeAt - info.startedAt), limit());
    }
    case 'not-health-check':
      return (info) => !info.healthCheck;
    case 'traceable':
      return (info) => info.traceForced;
    case 'runtime': {
      const { numerator, denominator } = filter.fraction;
      return () => {
        const share = tools.runtimeNumber?.(filter.key) ?? numerator;
        return tools.random() * denominator < share;
      };
    }
    case 'and': {
      const all = filter.filters.map((inner) => compileFilter(inner, tools));
      return (info) => all.every((inner) => inner(info));
    }
    case 'or': {
      const any = filter.filters.map((inner) => compileFilter(inner, tools));
      return (info) => any.some((inner) => inner(info));
    }
    case 'header': {
      const matches = tools.headerMatcher(filter.header);
      return (info) => matches(info.request);
    }
    case 'response-flag': {
      const bits = flagBits(filter.flags);
      return filter.flags.length === 0 ? (info) => info.flags !== 0 : (info) => (info.flags & bits) !== 0;
    }
    case 'grpc-status': {
      const statuses = new Set(filter.statuses);
      return (info) => statuses.has(grpcStatusOf(info) ?? 2) !== filter.exclude;
    }
  }
}
