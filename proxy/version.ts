/** What this is, in one place. */
import { readFileSync } from 'node:fs';

interface PackageJson {
  readonly version: string;
}

export const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as PackageJson)
  .version;

/** As Envoy prints it: revision, version, state, build, TLS library. */
export const FULL_VERSION = `0000000000000000000000000000000000000000/${VERSION}/Clean/RELEASE/OpenSSL-${process.versions.openssl}`;
