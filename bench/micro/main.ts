/** `node bench/micro/main.ts`: the hot functions, nanoseconds and heap bytes an operation. Takes seconds. */
import { clientExchange, serverExchange } from './codec.ts';
import { filterBenches } from './filters.ts';
import { measure } from './measure.ts';
import { routeBenches } from './routes.ts';

const benches = [serverExchange(), clientExchange(), ...routeBenches(), ...filterBenches()];
process.stdout.write(`${'operation'.padEnd(60)}${'ns/op'.padStart(10)}${'bytes/op'.padStart(10)}\n`);
for (const bench of benches) {
  const { name, nsPerOp, bytesPerOp } = measure(bench);
  process.stdout.write(`${name.padEnd(60)}${nsPerOp.toFixed(0).padStart(10)}${bytesPerOp.toFixed(0).padStart(10)}\n`);
}
