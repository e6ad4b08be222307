/** What a command operator is. */
import type { Json, Metadata } from '../../../xds-client/model/common.ts';
import type { StreamInfo } from '../../http/stream-info.ts';

/** Numbers stay numbers for JSON; an absent value is `undefined` (a dash in text, null in JSON). */
export type Value = string | number | boolean | Json | undefined;

/** What a format may need beside the request. */
export interface FormatExtra {
  /** `%LOCAL_REPLY_BODY%`. */
  readonly localReplyBody?: string;
}

export type Operator = (info: StreamInfo, extra: FormatExtra | undefined) => Value;

export interface OperatorOptions {
  /** The value becomes part of a text, and is no member of JSON. */
  readonly inText?: boolean;
  /** Header values that hold secrets: `redact` (logs) or `keep` (headers sent on). Default `redact`. */
  readonly secrets?: 'redact' | 'keep';
  /** For CLUSTER_METADATA: the model's metadata by cluster name. */
  readonly clusterMetadata?: (cluster: string) => Metadata | undefined;
}

/** Makes an operator of its argument, or says why it cannot. */
export type Make = (argument: string | undefined, options: OperatorOptions) => Operator | { readonly error: string };

/** An operator without argument. */
export const plain =
  (operator: Operator): Make =>
  (argument) =>
    argument === undefined ? operator : { error: `takes no argument, got "${argument}"` };

/** Cuts text after so many characters; other values stay. */
export function shortened(operator: Operator, length: number): Operator {
  return (info, extra) => {
    const value = operator(info, extra);
    return typeof value === 'string' ? value.slice(0, length) : value;
  };
}
