/** The headers that a configuration adds to its checks. */
import type { HeaderToAdd } from '../../../xds-client/model/common.ts';
import type { HeaderMap } from '../../http/headers.ts';

/** Envoy's name for itself when it asks. */
export const USER_AGENT = 'Envoy/HC';

/** As Envoy does it: first what goes, then what comes. Values hold no operators (the decoder refuses them), `%%` is `%`. */
export function changeHeaders(headers: HeaderMap, add: readonly HeaderToAdd[], remove: readonly string[]): void {
  for (const name of remove) headers.remove(name);
  for (const header of add) {
    const { name, action, keepEmptyValue } = header;
    const value = header.value.replaceAll('%%', '%');
    if (value === '' && !keepEmptyValue) continue;
    const there = headers.has(name);
    if (action === 'append-or-add' || (action === 'add-if-absent' && !there)) headers.add(name, value);
    else if (action === 'overwrite-or-add' || (action === 'overwrite-if-exists' && there)) headers.set(name, value);
  }
}
