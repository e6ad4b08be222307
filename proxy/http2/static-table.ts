/** The fields that both sides know from the start (RFC 7541 appendix A). */
import { type FieldName, fieldName } from './names.ts';

/** One field of a header block. Fields of the tables are shared by all messages that name them. */
export class Field {
  readonly name: FieldName;
  readonly value: string;
  /** Every byte of the value is one that a field may hold (RFC 9113 §8.2.1). */
  readonly valid: boolean;

  constructor(name: FieldName, value: string, valid: boolean) {
    this.name = name;
    this.value = value;
    this.valid = valid;
  }
}

const ENTRIES = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map((status) => [':status', status]),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range content-type ' +
    'cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since ' +
    'last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after ' +
    'server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate'
  )
    .split(' ')
    .map((name) => [name, '']),
];

/** By index, from 1. */
export const STATIC_TABLE: readonly Field[] = [
  new Field(fieldName(''), '', false),
  ...ENTRIES.map(([name = '', value = '']) => new Field(fieldName(name), value, true)),
];
export const STATIC_SIZE = ENTRIES.length;

/** What a table's entry counts beyond its two strings (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD = 32;
