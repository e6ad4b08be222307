/** The machine's own address. */
import { networkInterfaces } from 'node:os';

/** The first IPv4 address that is not loopback, as Envoy takes it for `x-forwarded-for`; `127.0.0.1` where there is none. */
export function nodeAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { family, internal, address } of addresses ?? []) if (family === 'IPv4' && !internal) return address;
  }
  return '127.0.0.1';
}
