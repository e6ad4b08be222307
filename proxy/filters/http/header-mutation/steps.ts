/** A list of changes to headers, each of which sees what the ones before it made. */
import type { HeaderAppendAction } from '../../../../xds-client/model/common.ts';
import type { HeaderStep } from '../../../../xds-client/model/filters/header-mutation.ts';
import type { HeaderMap } from '../../../http/headers.ts';
import type { StreamInfo } from '../../../http/stream-info.ts';
import { compileValue } from '../../../observe/access-log/header-value.ts';
import { latin1 } from '../../../route/headers.ts';
import { compileStringMatch, type StringTest } from '../../../route/string-match.ts';

export type Change = (headers: HeaderMap, info: StreamInfo) => void;

export function compileStep(step: HeaderStep): Change {
  if (step.kind === 'remove') {
    const { name } = step;
    return (headers) => {
      headers.remove(name);
    };
  }
  if (step.kind === 'remove-matching') {
    const matches = compileStringMatch(step.name);
    return (headers) => removeMatching(headers, matches);
  }
  const { name, action, keepEmptyValue } = step.header;
  const constant = latin1(step.header.value);
  const format = step.header.value.includes('%') ? compileValue(step.header.value) : undefined;
  return (headers, info) => {
    const value = format === undefined ? constant : format(info);
    if (value !== '' || keepEmptyValue) write(headers, name, value, action);
  };
}

/** Fields alone: what routing depends on is none of them. */
function removeMatching(headers: HeaderMap, matches: StringTest): void {
  const { names } = headers;
  for (let i = names.length - 1; i >= 0; i--) {
    const name = names[i];
    if (name !== undefined && matches(name)) headers.remove(name);
  }
}

function write(headers: HeaderMap, name: string, value: string, action: HeaderAppendAction): void {
  if (action === 'append-or-add') {
    headers.add(name, value);
    return;
  }
  const there = headers.has(name);
  if (action === 'add-if-absent' ? there : action === 'overwrite-if-exists' && !there) return;
  headers.set(name, value);
}
