/** What decoding a resource cannot tell by itself and asks of the side that will use it. Each answer is why not, or `undefined`. */
import type { LogFormat } from '../model/access-log.ts';
import type { TlsCertificate, ValidationContext } from '../model/tls.ts';

export interface DecodeChecks {
  /** A format of an access log or of a local reply. */
  format(format: LogFormat): string | undefined;
  /** A header's value, which may hold command operators. */
  headerValue(value: string): string | undefined;
  /** Material that is there: inline, in files, in the environment. */
  certificate(certificate: TlsCertificate): string | undefined;
  trust(validation: ValidationContext): string | undefined;
  /** Whether a route that names the cluster leads anywhere. */
  knowsCluster(name: string): boolean;
  /** Whether a TLS context may have its keys written down: the operator's own may, a control plane's may not. */
  readonly writesKeys: boolean;
}

/** Takes everything but leaves no keys behind: where nobody is going to use the resource. */
export const NO_CHECKS: DecodeChecks = {
  format: () => undefined,
  headerValue: () => undefined,
  certificate: () => undefined,
  trust: () => undefined,
  knowsCluster: () => true,
  writesKeys: false,
};
