/** The numbers of RFC 9113: frame types, flags, error codes and settings. */

export const Frame = {
  Data: 0,
  Headers: 1,
  Priority: 2,
  RstStream: 3,
  Settings: 4,
  PushPromise: 5,
  Ping: 6,
  GoAway: 7,
  WindowUpdate: 8,
  Continuation: 9,
} as const;

export const Flag = { EndStream: 1, Ack: 1, EndHeaders: 4, Padded: 8, Priority: 32 } as const;

/** RFC 9113 §7. */
export const ErrorCode = {
  None: 0,
  Protocol: 1,
  Internal: 2,
  FlowControl: 3,
  SettingsTimeout: 4,
  StreamClosed: 5,
  FrameSize: 6,
  RefusedStream: 7,
  Cancel: 8,
  Compression: 9,
  Connect: 10,
  EnhanceYourCalm: 11,
} as const;

/** RFC 9113 §6.5.2, RFC 8441 §3. */
export const Setting = {
  HeaderTableSize: 1,
  EnablePush: 2,
  MaxConcurrentStreams: 3,
  InitialWindowSize: 4,
  MaxFrameSize: 5,
  MaxHeaderListSize: 6,
  EnableConnectProtocol: 8,
} as const;

export const FRAME_HEAD = 9;
/** What we take, and what the peer takes until it says otherwise. */
export const FRAME_SIZE = 16_384;
export const MAX_FRAME_SIZE = 0xff_ffff;
/** Of a connection, and of streams until SETTINGS say otherwise. */
export const FIRST_WINDOW = 65_535;
export const MAX_WINDOW = 0x7fff_ffff;
export const MAX_STREAM_ID = 0x7fff_ffff;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
