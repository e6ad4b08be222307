#!/usr/bin/env node
import { launch } from './launch.js';

await launch('proxy/main.ts', process.argv.slice(2));
