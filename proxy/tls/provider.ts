/** The worker's `TlsProvider`. */
import type { DownstreamTls, UpstreamTls } from '../../xds-client/model/tls.ts';
import { ContextCache, type TlsEnvironment } from './assembly.ts';
import type { TlsProvider } from './contract.ts';
import { DownstreamContext } from './downstream-context.ts';
import type { ConnectionLives } from './lives.ts';
import type { SecretTable } from './secret-table.ts';
import { UpstreamContext } from './upstream-context.ts';

export class WorkerTlsProvider implements TlsProvider {
  readonly #environment: TlsEnvironment;

  /**
   * `now`: milliseconds since the epoch. `onError` is told of settings that OpenSSL refuses. `lives` bounds connections;
   * without it they live as long as their owners like.
   */
  constructor(
    secrets: SecretTable,
    now: () => number,
    onError: (message: string) => void,
    lives: ConnectionLives | undefined = undefined,
  ) {
    this.#environment = { secrets, contexts: new ContextCache(), now, onError, lives };
    if (lives !== undefined) secrets.onTrustChange = () => lives.trustChanged();
  }

  upstream(config: UpstreamTls): UpstreamContext {
    return new UpstreamContext(config, this.#environment);
  }

  downstream(config: DownstreamTls): DownstreamContext {
    return new DownstreamContext(config, this.#environment);
  }
}
