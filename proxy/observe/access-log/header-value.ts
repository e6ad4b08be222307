/** Values of added headers that hold command operators (`%REQ(x)%`), by the access log's formats. */
import type { StreamInfo } from '../../http/stream-info.ts';
import { compileFormat } from './format.ts';

/** A value that does not compile was refused by the decoder; should one come through, it is written as it stands. */
export function compileValue(value: string): (info: StreamInfo) => string {
  const compiled = compileFormat(value, { omitEmpty: true, secrets: 'keep' });
  if ('error' in compiled) return () => value;
  const { format } = compiled;
  return (info) => format(info);
}
