/**
 * Runs after `npm ci`: reads the .proto files that @grpc/grpc-js-xds carries (Envoy, xDS, UDPA, Google) and Tollway's own,
 * and writes protos/generated/: one descriptor file and the TypeScript types of every message.
 */
import { globSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DescriptorFile, descriptorFileUrl } from './descriptor-file.ts';
import { parseProtos } from './parse-protos.ts';
import { typeFiles } from './type-files.ts';

const own = fileURLToPath(new URL('.', import.meta.url));
const generated = dirname(fileURLToPath(descriptorFileUrl));
const deps = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps');
const includeDirs = [own, ...['envoy-api', 'xds', 'googleapis'].map((name) => join(deps, name))];

function wanted(): string[] {
  return [
    ...globSync('envoy/**/v3*/**/*.proto', { cwd: join(deps, 'envoy-api') }),
    ...globSync('{xds,udpa}/**/*.proto', { cwd: join(deps, 'xds') }),
    'google/rpc/status.proto',
    ...globSync('{istio,spiffe,opentelemetry}/**/*.proto', { cwd: own }),
  ].sort();
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  // Renamed into place: a reader never sees half a file.
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const file: DescriptorFile = parseProtos(wanted(), includeDirs);
const types = typeFiles(file);
for (const [path, text] of types) write(join(generated, path), text);
// Last: it says that the rest is there.
write(fileURLToPath(descriptorFileUrl), JSON.stringify(file));
// Not before: a Tollway may start while an install goes over it.
for (const path of globSync('**/*.d.ts', { cwd: generated })) if (!types.has(path)) rmSync(join(generated, path));
