/** The next service, asked over gRPC (settlement.proto) through the sidecar, and its reports read for as long as this one lives. */
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { Hop, Lines, NextService, Passed, Payment } from './payments.ts';
import { REPORT, SETTLE, type Settled, type SettleReply } from './settlement-api.ts';

const TIMEOUT_MS = 10_000;
const REOPEN_MS = 250;
/** An application may be up before its sidecar, or outlive it: a call that cannot be sent yet waits. */
const WAIT = { waitForReady: true };

export class GrpcNext implements NextService {
  private readonly client: Client;
  private readonly service: string;

  /** `outbound`: the sidecar's outbound listener; `service`: the authority to ask for. */
  constructor(outbound: { readonly host: string; readonly port: number }, service: string) {
    this.service = service;
    this.client = new Client(`${outbound.host}:${outbound.port}`, credentials.createInsecure(), {
      'grpc.default_authority': service,
      // Whether a call is tried again is the mesh's decision.
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
    });
  }

  pay(payment: Payment, passed: Passed): Promise<readonly Hop[]> {
    const metadata = new Metadata(WAIT);
    for (const [name, value] of Object.entries(passed)) metadata.set(name, value);
    const { path, requestSerialize, responseDeserialize } = SETTLE;
    const deadline = Date.now() + TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, reply?: SettleReply): void => {
        if (error !== null) reject(new Error(`${this.service} answered ${status[error.code]}: ${error.details}`));
        else resolve(reply?.hops ?? []);
      };
      this.client.makeUnaryRequest(path, requestSerialize, responseDeserialize, payment, metadata, { deadline }, done);
    });
  }

  /** Reads the report, and opens it again when it ends. `received` is to `sent` in grpc-server.ts. */
  readReports(received: Lines): void {
    const { path, requestSerialize, responseDeserialize } = REPORT;
    let report: string | undefined;
    const call = this.client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      {},
      new Metadata(WAIT),
    );
    call.on('data', (settled: Settled) => {
      report = settled.report;
      received.add(`${report} ${settled.id}`);
    });
    // Its status tells as much.
    call.on('error', () => undefined);
    call.on('status', ({ code }) => {
      if (report !== undefined) received.add(report);
      setTimeout(() => this.readReports(received), code === status.OK ? 0 : REOPEN_MS);
    });
  }
}
