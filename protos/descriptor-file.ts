/**
 * The shape of `protos/generated/descriptors.json`, which compile.ts writes and descriptors.ts reads. Every type of every
 * package is one member, flat, by its full name; it is protobufjs's JSON with type names absolute (`.envoy...`), so
 * that a slice of it can be handed to proto-loader.
 */
export interface FieldJson {
  readonly id: number;
  /** A scalar's name, or `.full.Name`. Of a map: the value's. */
  readonly type: string;
  readonly rule?: 'repeated';
  readonly keyType?: string;
  readonly options?: { readonly deprecated?: boolean; readonly proto3_optional?: boolean };
}

export interface MessageJson {
  readonly fields: { readonly [name: string]: FieldJson };
  readonly oneofs?: { readonly [name: string]: { readonly oneof: readonly string[] } };
}

export interface EnumJson {
  readonly values: { readonly [name: string]: number };
}

export interface MethodJson {
  /** Full names, without a leading dot. */
  readonly requestType: string;
  readonly responseType: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

export interface ServiceJson {
  readonly methods: { readonly [name: string]: MethodJson };
}

export interface DescriptorFile {
  readonly messages: { readonly [fullName: string]: MessageJson };
  readonly enums: { readonly [fullName: string]: EnumJson };
  readonly services: { readonly [fullName: string]: ServiceJson };
}

/** Where the descriptor file lives. */
export const descriptorFileUrl = new URL('./generated/descriptors.json', import.meta.url);
