/** `/listeners`, as text and as envoy.admin.v3.Listeners. */
import { addressText } from '../../upstream/contract.ts';
import { json, type Page, text } from '../page.ts';
import type { AdminSources } from '../sources.ts';
import { addressJson } from './clusters.ts';

export function listenersPage(sources: AdminSources): Page {
  return {
    path: '/listeners',
    help: 'print listener info',
    parameters: [['format', 'File format to use; One of (text, json)']],
    answer: (parameters) => {
      const listeners = sources.listeners();
      if (parameters.get('format') !== 'json') {
        let out = '';
        for (const { name, addresses } of listeners) {
          for (const address of addresses) out += `${name}::${addressText(address)}\n`;
        }
        return text(out);
      }
      if (listeners.length === 0) return json({});
      return json({
        listener_statuses: listeners.map(({ name, addresses: [own, ...more] }) => ({
          name,
          local_address: own === undefined ? undefined : addressJson(own),
          additional_local_addresses: more.length === 0 ? undefined : more.map(addressJson),
        })),
      });
    },
  };
}
