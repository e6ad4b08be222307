/** The worker's `TlsProvider`. */
import type { DownstreamTls, UpstreamTls } from '../../xds-client/model/tls.ts';
import { ContextCache, type TlsEnvironment } from './assembly.ts';
import type { TlsProvider } from './contract.ts';
import { DownstreamContext } from './downstream-context.ts';
import type { SecretTable } from './secret-table.ts';
import { UpstreamContext } from './upstream-context.ts';

export class WorkerTlsProvider implements TlsProvider {
  readonly #environment: TlsEnvironment;

  /** `now`: milliseconds since the epoch. `onError` is told of settings that OpenSSL refuses. */
  constructor(secrets: SecretTable, now: () => number, onError: (message: string) => void) {
    this.#environment = { secrets, contexts: new ContextCache(), now, onError };
  }

  upstream(config: UpstreamTls): UpstreamContext {
    return new UpstreamContext(config, this.#environment);
  }

  downstream(config: DownstreamTls): DownstreamContext {
    return new DownstreamContext(config, this.#environment);
  }
}
