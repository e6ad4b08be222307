/** Who can read a private key's file. */
import { lstatSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';

const OTHERS_READ = 0o004;
const OTHERS_ENTER = 0o001;

/**
 * Why a private key in this file is not used: `can be read by everybody (mode 0644): ...`. `undefined` when it may be used.
 *
 * A file that every user of the machine can read is no secret. Two are let through whatever their own mode says: one below a
 * directory that others cannot enter, and one in a volume of Kubernetes (`..data`), whose default is 0644 and which nobody but
 * the pod's containers has. Throws when the file is not there.
 */
export function exposedKey(path: string): string | undefined {
  const mode = statSync(path).mode & 0o777;
  if ((mode & OTHERS_READ) === 0) return undefined;
  const real = realpathSync(path);
  if (isHidden(real) || isInAtomicVolume(path, real)) return undefined;
  return `can be read by everybody (mode 0${mode.toString(8)}): private keys are for their owner, chmod 600`;
}

function isHidden(real: string): boolean {
  for (let directory = dirname(real); ; directory = dirname(directory)) {
    if ((statSync(directory).mode & OTHERS_ENTER) === 0) return true;
    if (directory === dirname(directory)) return false;
  }
}

/** Kubernetes' atomic writer: `tls.key -> ..data/tls.key`, `..data -> ..2026_01_31_12_00_00.123456789`. */
function isInAtomicVolume(path: string, real: string): boolean {
  const data = join(dirname(path), '..data');
  return (
    lstatSync(data, { throwIfNoEntry: false })?.isSymbolicLink() === true && real.startsWith(realpathSync(data) + sep)
  );
}
