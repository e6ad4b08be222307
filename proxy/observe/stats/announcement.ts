/**
 * What a store tells the main thread: which names live in which cells. Sent as JSON with the new chunks beside it, in
 * the order in which things happened, because a name may leave and come back within one batch.
 */
import type { StatKind } from './contract.ts';

/** Offsets are global in the sender's arena: chunk index times chunk size plus position. */
export type StatOp =
  /** A family the sender had not used before; its id is its position among the sender's families. */
  | readonly ['family', readonly string[], readonly StatKind[]]
  | readonly ['block', prefix: string, family: number, offset: number]
  | readonly ['drop-block', prefix: string, family: number]
  | readonly ['counter' | 'gauge', name: string, offset: number]
  | readonly ['histogram', name: string]
  | readonly ['head', name: string, offset: number]
  | readonly ['decade', name: string, decade: number, offset: number]
  | readonly ['drop', name: string];

/** Receives a batch; `buffers` are the chunks that the sender made since the last one. */
export type Announce = (json: string, buffers: readonly SharedArrayBuffer[]) => void;
