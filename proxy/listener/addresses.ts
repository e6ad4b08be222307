/** Addresses in the forms that matching and statistics need. Pure. */
import { isIP } from 'node:net';
import type { CidrRange } from '../../xds-client/model/common.ts';

/** An address as a number, for masks. */
export interface IpNumber {
  readonly family: 4 | 6;
  readonly value: bigint;
}

const MAPPED = '::ffff:';

/** `::ffff:10.0.0.1`, as a dual-stack socket says it, is `10.0.0.1`. */
export function plainAddress(text: string): string {
  return text.startsWith(MAPPED) && isIP(text.slice(MAPPED.length)) === 4 ? text.slice(MAPPED.length) : text;
}

/** The addresses of a listener and of its callers come again and again. */
const recent = new Map<string, IpNumber>();
const MAX_RECENT = 1_024;

/** `undefined` when the text is no IP address (a pipe). */
export function parseIp(text: string): IpNumber | undefined {
  const known = recent.get(text);
  if (known !== undefined) return known;
  const parsed = readIp(text);
  if (parsed !== undefined) {
    if (recent.size >= MAX_RECENT) recent.clear();
    recent.set(text, parsed);
  }
  return parsed;
}

function readIp(text: string): IpNumber | undefined {
  const plain = plainAddress(text.split('%', 1)[0] ?? '');
  const family = isIP(plain);
  if (family === 4) return { family: 4, value: v4(plain) };
  if (family === 6) return { family: 6, value: v6(plain) };
  return undefined;
}

function v4(text: string): bigint {
  return text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

function v6(text: string): bigint {
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  if (tail.includes('.')) {
    const low = v4(tail);
    return v6(`${text.slice(0, lastColon + 1)}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  }
  const [head = '', rest] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = rest === undefined || rest === '' ? [] : rest.split(':');
  const zeros = rest === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right];
  return groups.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}

export function isLoopback(ip: IpNumber): boolean {
  return ip.family === 4 ? ip.value >> 24n === 127n : ip.value === 1n;
}

/** The longest prefix that holds an address wins. One map a prefix length, longest first. */
export class PrefixTable<Value> {
  readonly #v4: Level<Value>[] = [];
  readonly #v6: Level<Value>[] = [];

  /** The value kept for exactly this range, made when there is none. Throws when the address does not parse. */
  at(range: CidrRange, make: () => Value): Value {
    const ip = parseIp(range.address);
    if (ip === undefined) throw new Error(`"${range.address}" is not an IP address`);
    const levels = ip.family === 4 ? this.#v4 : this.#v6;
    const shift = BigInt((ip.family === 4 ? 32 : 128) - range.prefixLength);
    let level = levels.find((one) => one.shift === shift);
    if (level === undefined) {
      level = { shift, values: new Map() };
      levels.push(level);
      levels.sort((a, b) => Number(a.shift - b.shift));
    }
    const network = ip.value >> shift;
    let value = level.values.get(network);
    if (value === undefined) {
      value = make();
      level.values.set(network, value);
    }
    return value;
  }

  find(ip: IpNumber): Value | undefined {
    for (const level of ip.family === 4 ? this.#v4 : this.#v6) {
      const value = level.values.get(ip.value >> level.shift);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  get empty(): boolean {
    return this.#v4.length + this.#v6.length === 0;
  }
}

interface Level<Value> {
  readonly shift: bigint;
  readonly values: Map<bigint, Value>;
}
