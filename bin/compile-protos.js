/** The install step: compiles the protos, and the code of a start. */
import { launch } from './launch.js';

await launch('protos/compile.ts', []);
if (!process.exitCode) await launch('bin/warm.js', []);
