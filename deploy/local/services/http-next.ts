/** The next service, asked over HTTP/1.1 through the sidecar. */
import { Agent, request } from 'node:http';
import type { Hop, NextService, Passed, Payment } from './payments.ts';
import { readText } from './read-text.ts';

const TIMEOUT_MS = 10_000;

export class HttpNext implements NextService {
  private readonly outbound: { readonly host: string; readonly port: number };
  private readonly service: string;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 64 });

  /** `outbound`: the sidecar's outbound listener; `service`: the authority to ask for. */
  constructor(outbound: { readonly host: string; readonly port: number }, service: string) {
    this.outbound = outbound;
    this.service = service;
  }

  async pay(payment: Payment, passed: Passed): Promise<readonly Hop[]> {
    const { status, body } = await this.post(JSON.stringify(payment), passed);
    if (status !== 200) throw new Error(`${this.service} answered ${status}: ${body.slice(0, 200)}`);
    return (JSON.parse(body) as { readonly hops: readonly Hop[] }).hops;
  }

  private post(body: string, passed: Passed): Promise<{ readonly status: number; readonly body: string }> {
    const { agent, outbound, service } = this;
    const headers = { host: service, 'content-type': 'application/json', ...passed };
    return new Promise((resolve, reject) => {
      const call = request(
        { agent, ...outbound, method: 'POST', path: '/', headers, timeout: TIMEOUT_MS },
        (response) => {
          readText(response).then((text) => resolve({ status: response.statusCode ?? 0, body: text }), reject);
        },
      );
      call.on('timeout', () => call.destroy(new Error(`${service} did not answer within ${TIMEOUT_MS / 1000} s`)));
      call.on('error', reject);
      call.end(body);
    });
  }
}
