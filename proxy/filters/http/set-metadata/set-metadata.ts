/** Puts constants into the request's dynamic metadata, where access logs, spans and header values read them. */
import type { Json } from '../../../../xds-client/model/common.ts';
import type { MetadataEntry, SetMetadataConfig } from '../../../../xds-client/model/filters/set-metadata.ts';
import { fromPlain } from '../../../../xds-client/model/plain.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import type { StatBlock } from '../../../observe/stats/contract.ts';
import { family } from '../../../observe/stats/families.ts';
import { CONTINUE, type HttpFilterFactory } from '../contract.ts';
import { merged } from './merge.ts';

const STATS = family(['overwrite_denied'], []);
const OVERWRITE_DENIED = 0;

/** What one entry puts there is shared by all requests: nobody changes it in place. */
function put({ namespace, value, overwrite }: MetadataEntry, info: StreamInfo, stats: StatBlock): void {
  info.dynamicMetadata ??= new Map();
  const there = info.dynamicMetadata.get(namespace);
  if (there === undefined) info.dynamicMetadata.set(namespace, value);
  else if (overwrite) info.dynamicMetadata.set(namespace, merged(there, value));
  else stats.inc(OVERWRITE_DENIED);
}

export const SET_METADATA: HttpFilterFactory = {
  name: 'envoy.filters.http.set_metadata',
  typeUrl: 'envoy.extensions.filters.http.set_metadata.v3.Config',
  build(config: Json, { stats, statPrefix }) {
    const { entries } = fromPlain<SetMetadataConfig>(config);
    const block = stats.block(`${statPrefix}set_metadata.`, STATS);
    return {
      create: ({ info }) => ({
        onRequestHead() {
          for (const entry of entries) put(entry, info, block);
          return CONTINUE;
        },
      }),
      close: () => block.release(),
    };
  },
};
