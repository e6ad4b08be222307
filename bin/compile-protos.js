/** The install step: compiles the protos. */
import { launch } from './launch.js';

await launch('protos/compile.ts', []);
