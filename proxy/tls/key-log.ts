/** TLS keys in the NSS format, for whoever has to read the traffic of a connection: only where the bootstrap says so. */
import { fchmodSync, openSync, writeSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { CidrRange } from '../../xds-client/model/common.ts';
import type { KeyLog } from '../../xds-client/model/tls.ts';
import { errorMessage } from '../errors.ts';

/** Owner alone. */
const MODE = 0o600;

/** Files by path: several contexts may name one. */
const files = new Map<string, number>();

export class KeyLogger {
  readonly #path: string;
  readonly #local: BlockList | undefined;
  readonly #remote: BlockList | undefined;
  readonly #onError: (message: string) => void;
  #broken = false;

  constructor({ path, localRanges, remoteRanges }: KeyLog, onError: (message: string) => void) {
    this.#path = path;
    this.#local = blockList(localRanges);
    this.#remote = blockList(remoteRanges);
    this.#onError = onError;
  }

  /** Before the handshake begins. */
  watch(socket: TLSSocket): void {
    socket.on('keylog', (line: Buffer) => {
      if (holds(this.#local, socket.localAddress) && holds(this.#remote, socket.remoteAddress)) this.#write(line);
    });
  }

  #write(line: Buffer): void {
    if (this.#broken) return;
    try {
      let file = files.get(this.#path);
      if (file === undefined) {
        file = openSync(this.#path, 'a', MODE);
        // one that was there before may be open to others
        fchmodSync(file, MODE);
        files.set(this.#path, file);
      }
      writeSync(file, line);
    } catch (error) {
      this.#broken = true;
      this.#onError(`TLS keys cannot be written to "${this.#path}": ${errorMessage(error)}`);
    }
  }
}

function blockList(ranges: readonly CidrRange[]): BlockList | undefined {
  if (ranges.length === 0) return undefined;
  const list = new BlockList();
  for (const { address, prefixLength } of ranges) {
    if (isIP(address) !== 0) list.addSubnet(address, prefixLength, family(address));
  }
  return list;
}

/** `undefined` as a list takes every address. */
function holds(list: BlockList | undefined, address: string | undefined): boolean {
  if (list === undefined) return true;
  return address !== undefined && list.check(address, family(address));
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
