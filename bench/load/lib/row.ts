/** What a row of the bench is: something measured for every peer in turn, and the goal against Envoy. */
import type { PeerName } from './peers.ts';
import type { Stage } from './stage.ts';

/** One peer's figures of one round. Keys are the row's own (`cpuMicros`, `rssMb`, ...). */
export type Figures = { readonly [figure: string]: number };

export interface Goal {
  readonly figure: string;
  /** `ratio`: Tollway's median is at most `limit` times Envoy's. `difference`: at most that much more. `absolute`: at most that. */
  readonly kind: 'ratio' | 'difference' | 'absolute';
  readonly limit: number;
}

/** One peer, started and warm. */
export interface Session {
  /** One round. `quick`: a tenth of the time, for trying the bench itself. Throws when a request failed. */
  measure(quick: boolean): Promise<Figures>;
  close(): Promise<void>;
}

export interface Row {
  readonly name: string;
  /** What is done, for the reader of the table. */
  readonly what: string;
  readonly peers: readonly PeerName[];
  readonly goals: readonly Goal[];
  readonly rounds?: number;
  /** Starts one peer and warms it up. */
  start(peer: PeerName, stage: Stage, quick: boolean): Promise<Session>;
}
