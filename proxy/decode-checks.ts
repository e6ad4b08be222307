/** The decoders' questions, answered by the rooms that will use what is decoded: what they cannot use is refused at once. */
import { readFileSync, statSync } from 'node:fs';
import { exposedKey } from '../certs/source/key-permissions.ts';
import { unfitFile } from '../certs/source/limits.ts';
import { certificateError, trustError } from '../certs/validate.ts';
import type { DecodeChecks } from '../xds-client/decode/checks.ts';
import type { DataSource } from '../xds-client/model/common.ts';
import { errorMessage } from './errors.ts';
import { compileFormat } from './observe/access-log/format.ts';
import { compileLogFormat } from './observe/access-log/logger.ts';
import { type TrustPart, trustMaterial, trustSources } from './secrets/trust.ts';

/** `knowsCluster`: of the clusters that serve or warm at the time of the question. `writesKeys`: for the bootstrap alone. */
export function decodeChecks(knowsCluster: (name: string) => boolean, writesKeys = false): DecodeChecks {
  return {
    format: (format) => errorOf(compileLogFormat(format)),
    headerValue: (value) =>
      value.includes('%') ? errorOf(compileFormat(value, { omitEmpty: true, secrets: 'keep' })) : undefined,
    certificate: ({ certificateChain, privateKey, password, ocspStaple }) =>
      attempt(() =>
        certificateError({
          chain: textOf(certificateChain),
          key: textOf(unexposed(privateKey)),
          password: password === undefined ? undefined : textOf(password).trimEnd(),
          ocspStaple: ocspStaple === undefined ? undefined : bytesOf(ocspStaple).toString('base64'),
        }),
      ),
    trust: (validation) =>
      attempt(() => {
        const texts: { [part in TrustPart]?: string } = {};
        for (const [part, source] of Object.entries(trustSources(validation)) as [
          TrustPart,
          DataSource | undefined,
        ][]) {
          if (source !== undefined) texts[part] = textOf(source);
        }
        return trustError(trustMaterial(validation, texts));
      }),
    knowsCluster,
    writesKeys,
  };
}

function errorOf(compiled: object): string | undefined {
  return 'error' in compiled ? String(compiled.error) : undefined;
}

/** What cannot be read is as good as what does not parse. */
function attempt(check: () => string | undefined): string | undefined {
  try {
    return check();
  } catch (error) {
    return errorMessage(error);
  }
}

/** The source of a private key, if nobody else can read it. */
function unexposed(key: DataSource): DataSource {
  const exposed = key.kind === 'file' ? exposedKey(key.path) : undefined;
  if (key.kind === 'file' && exposed !== undefined) throw new Error(`the private key "${key.path}" ${exposed}`);
  return key;
}

function textOf(source: DataSource): string {
  return bytesOf(source).toString('utf8');
}

function bytesOf(source: DataSource): Buffer {
  if (source.kind === 'inline') return Buffer.from(source.base64, 'base64');
  if (source.kind === 'file') {
    const unfit = unfitFile(statSync(source.path));
    if (unfit !== undefined) throw new Error(`"${source.path}" ${unfit}`);
    return readFileSync(source.path);
  }
  const value = process.env[source.variable];
  if (value === undefined) throw new Error(`the environment variable ${source.variable} is not set`);
  return Buffer.from(value);
}
