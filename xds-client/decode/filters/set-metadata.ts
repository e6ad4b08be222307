/** The set metadata filter: constants for a request's dynamic metadata. */
import type { MessageObject } from '../../../protos/index.ts';
import type { MetadataEntry, SetMetadataConfig } from '../../model/filters/set-metadata.ts';
import { plain } from '../../model/plain.ts';
import { type Extension, type ExtensionResults, support } from '../context.ts';
import { flag, has, message, messages, text } from '../fields.ts';
import { structToJson } from '../struct.ts';

const PACKAGE = 'envoy.extensions.filters.http.set_metadata.v3';

support(`${PACKAGE}.Config`, { acts: ['metadata_namespace', 'value', 'metadata'] });
support(`${PACKAGE}.Metadata`, {
  acts: ['metadata_namespace', 'allow_overwrite', 'value'],
  ignored: { typed_value: 'nothing reads typed metadata' },
});

function decodeEntry(of: MessageObject, overwrite: boolean): MetadataEntry {
  return { namespace: text(of, 'metadata_namespace'), value: structToJson(message(of, 'value')), overwrite };
}

export const SET_METADATA: Extension<ExtensionResults['http-filter']> = {
  name: 'envoy.filters.http.set_metadata',
  type: `${PACKAGE}.Config`,
  decode: (config) => {
    const own = has(config, 'value') && text(config, 'metadata_namespace') !== '' ? [decodeEntry(config, true)] : [];
    const listed = messages(config, 'metadata')
      .filter((entry) => has(entry, 'value'))
      .map((entry) => decodeEntry(entry, flag(entry, 'allow_overwrite')));
    const decoded: SetMetadataConfig = { entries: [...own, ...listed] };
    return { terminal: false, config: plain(decoded) };
  },
};
