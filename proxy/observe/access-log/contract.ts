/** Access logs as the data path sees them. */
import type { AccessLog } from '../../../xds-client/model/access-log.ts';
import type { StreamInfo } from '../../http/stream-info.ts';

/** One configured log, compiled: the filter decides, the format writes, the sink queues for the main thread. */
export interface AccessLogger {
  log(info: StreamInfo): void;
}

export interface AccessLogFactory {
  create(logs: readonly AccessLog[]): readonly AccessLogger[];
}
