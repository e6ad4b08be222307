#!/usr/bin/env node
import { launch } from './launch.js';

const [, , first, ...others] = process.argv;
// Beside Envoy's command line, which has no subcommands.
if (first === 'redirect') await launch('deploy/redirect/main.ts', others);
else await launch('proxy/main.ts', process.argv.slice(2));
