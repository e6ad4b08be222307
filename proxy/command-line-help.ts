/** The text of `--help`. */
import { type Flag, flags } from './command-line-flags.ts';

function shown({ name, short, kind }: Flag): string {
  const value = kind === 'switch' ? '' : kind === 'number' ? ' <number>' : ' <text>';
  return `${short === undefined ? '    ' : `-${short}, `}--${name}${value}`;
}

export function usage(): string {
  const width = Math.max(...flags.map((flag) => shown(flag).length)) + 2;
  const lines = flags.map((flag) => `   ${shown(flag).padEnd(width)}${flag.help}`);
  return `
USAGE:

   tollway -c <bootstrap file> [--config-yaml <text>] [flags]

The command line is Envoy's. Where:

${lines.join('\n')}
`;
}
