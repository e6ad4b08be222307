/** `npm start -- [--for 20s] [--json] [--rate 50] [--mesh folder]` */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** Milliseconds; `undefined`: until interrupted. */
  readonly forMs: number | undefined;
  readonly json: boolean;
  /** Payments a second. */
  readonly rate: number;
  readonly mesh: string;
  /** Another proxy to run in Tollway's place. */
  readonly proxy: string | undefined;
}

export const USAGE = `usage: npm start -- [--for 20s] [--json] [--rate 50] [--mesh deploy/local/mesh]

  --for DURATION  run that long (500ms, 20s, 2m), then stop; without it, until Ctrl-C
  --json          end with one JSON object on the last line; exit code 0 only if no payment failed
  --rate N        payments a second (1 to 2000)
  --proxy PATH    run that in Tollway's place: an Envoy, to see it driven by the same control plane
  --mesh FOLDER   a folder of Istio YAML, each sub-folder a namespace
`;

/** Throws `Error` whose message is for the person who typed the arguments. */
export function parseDemoOptions(argv: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      for: { type: 'string' },
      json: { type: 'boolean', default: false },
      rate: { type: 'string', default: '50' },
      proxy: { type: 'string' },
      mesh: { type: 'string', default: join(import.meta.dirname, 'mesh') },
    },
  });
  const rate = Number(values.rate);
  if (!Number.isFinite(rate) || rate < 1 || rate > 2000)
    throw new Error(`--rate must be from 1 to 2000, not ${values.rate}`);
  return {
    forMs: values.for === undefined ? undefined : duration(values.for),
    json: values.json,
    rate,
    mesh: values.mesh,
    proxy: values.proxy,
  };
}

function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  if (match === null) throw new Error(`--for must be a duration such as 500ms, 20s or 2m, not ${text}`);
  return Number(match[1]) * { ms: 1, s: 1_000, m: 60_000 }[match[2] as 'ms' | 's' | 'm'];
}
