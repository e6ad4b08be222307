/** Heads to HEADERS and CONTINUATION frames. A block of usual size is encoded where it goes out from. */
import { Buffer } from 'node:buffer';
import type { HeaderMap } from '../http/headers.ts';
import type { Output } from '../http/output.ts';
import { Flag, FRAME_HEAD, FRAME_SIZE, Frame } from './frames.ts';
import { HpackEncoder } from './hpack-encoder.ts';

/** The pseudo-fields of the next block, in order; taken by `putBlock`. One list for the thread: encoding never yields. */
const pseudoNames: string[] = [];
const pseudoValues: string[] = [];

/** Adds a pseudo-field to the next block. */
export function addPseudo(name: string, value: string): void {
  pseudoNames.push(name);
  pseudoValues.push(value);
}

/** Forgets them: the block is not written after all. */
export function dropPseudo(): void {
  pseudoNames.length = 0;
  pseudoValues.length = 0;
}

/** Writes the block of the pseudo-fields that were added and of `headers`, but for what only HTTP/1.1 has. */
export function putBlock(
  out: Output,
  encoder: HpackEncoder,
  headers: HeaderMap,
  id: number,
  end: boolean,
  frameSize: number,
): void {
  const { names, values } = headers;
  let bound = HpackEncoder.beginBound;
  for (let i = 0; i < pseudoNames.length; i++) {
    bound += HpackEncoder.bound(pseudoNames[i] as string, pseudoValues[i] as string);
  }
  for (let i = 0; i < names.length; i++) bound += HpackEncoder.bound(names[i] as string, values[i] as string);
  const flags = end ? Flag.EndStream : 0;
  if (bound <= FRAME_SIZE) {
    const at = out.room(FRAME_HEAD + bound);
    const next = encodeAll(encoder, out.buffer, at + FRAME_HEAD, headers);
    putHead(out.buffer, at, next - at - FRAME_HEAD, Frame.Headers, flags | Flag.EndHeaders, id);
    out.filled(next);
    return;
  }
  const block = Buffer.allocUnsafe(bound);
  const length = encodeAll(encoder, block, 0, headers);
  for (let at = 0; at < length || at === 0; at += frameSize) {
    const next = Math.min(length, at + frameSize);
    const last = next === length ? Flag.EndHeaders : 0;
    const head = out.room(FRAME_HEAD);
    putHead(
      out.buffer,
      head,
      next - at,
      at === 0 ? Frame.Headers : Frame.Continuation,
      (at === 0 ? flags : 0) | last,
      id,
    );
    out.filled(head + FRAME_HEAD);
    out.bytes(block.subarray(at, next));
  }
}

function encodeAll(encoder: HpackEncoder, to: Buffer, start: number, headers: HeaderMap): number {
  let at = encoder.begin(to, start);
  for (let i = 0; i < pseudoNames.length; i++) {
    at = encoder.encode(to, at, pseudoNames[i] as string, pseudoValues[i] as string);
  }
  dropPseudo();
  const { names, values } = headers;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    const value = values[i] as string;
    if (!isOfConnection(name, value)) at = encoder.encode(to, at, name, value);
  }
  return at;
}

/** Fields that only HTTP/1.1 has, or that stand in a pseudo-field (RFC 9113 §8.2.2). */
function isOfConnection(name: string, value: string): boolean {
  switch (name.length) {
    case 2:
      return name === 'te' && value !== 'trailers';
    case 4:
      return name === 'host';
    case 7:
      return name === 'upgrade';
    case 10:
      return name === 'connection' || name === 'keep-alive';
    case 16:
      return name === 'proxy-connection';
    case 17:
      return name === 'transfer-encoding';
    default:
      return false;
  }
}

/** A frame's head (RFC 9113 §4.1). */
export function putHead(to: Buffer, at: number, length: number, type: number, flags: number, id: number): void {
  to[at] = length >>> 16;
  to[at + 1] = length >>> 8;
  to[at + 2] = length;
  to[at + 3] = type;
  to[at + 4] = flags;
  to[at + 5] = id >>> 24;
  to[at + 6] = id >>> 16;
  to[at + 7] = id >>> 8;
  to[at + 8] = id;
}
