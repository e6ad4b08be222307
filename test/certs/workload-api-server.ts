/** A SPIFFE Workload API for tests, after the published protocol: it sends what it is told to, to every open stream. */
import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { Server, ServerCredentials, type ServerWritableStream, status } from '@grpc/grpc-js';
import type { DevCa, IssuedLeaf } from '../../certs/source/dev-ca.ts';
import { parseCertificates } from '../../certs/tls-context.ts';
import type { X509BundlesResponse, X509SVID, X509SVIDResponse } from '../../protos/generated/root.d.ts';
import { encodeMessage, serviceDefinition } from '../../protos/index.ts';

type Stream = ServerWritableStream<Buffer, Buffer>;

/** As the protocol carries them: DER, one after the other. */
export function derOf(pem: string): Buffer {
  return Buffer.concat(parseCertificates(pem).map((certificate: X509Certificate) => certificate.raw));
}

export function svid(id: string, leaf: Pick<IssuedLeaf, 'chain' | 'key'>, ca: DevCa, hint = ''): X509SVID {
  return {
    spiffe_id: id,
    x509_svid: derOf(leaf.chain),
    x509_svid_key: createPrivateKey(leaf.key).export({ type: 'pkcs8', format: 'der' }),
    bundle: derOf(ca.rootPem),
    hint,
  };
}

export class WorkloadApiServer {
  /** What new streams get at once; `undefined`: nothing yet. */
  svids: X509SVIDResponse | undefined;
  bundles: X509BundlesResponse | undefined;
  /** In the place of an answer. */
  refuse: { readonly code: status; readonly details: string } | undefined;
  /** Streams that were opened, of both kinds. */
  opened = { svids: 0, bundles: 0 };
  readonly #open = { svids: new Set<Stream>(), bundles: new Set<Stream>() };
  #server: Server | undefined;

  /** `unix:/path`. Again after `stop`. */
  listen(address: string): Promise<void> {
    const server = new Server();
    this.#server = server;
    server.addService(serviceDefinition('SpiffeWorkloadAPI'), {
      FetchX509SVID: (call: Stream) => this.#accept(call, 'svids'),
      FetchX509Bundles: (call: Stream) => this.#accept(call, 'bundles'),
    });
    return new Promise((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
    });
  }

  stop(): void {
    this.#server?.forceShutdown();
  }

  /** Ends every open stream in good order. */
  endStreams(): void {
    for (const stream of [...this.#open.svids, ...this.#open.bundles]) stream.end();
  }

  sendSvids(response: X509SVIDResponse): void {
    this.svids = response;
    for (const stream of this.#open.svids) stream.write(encodeMessage('X509SVIDResponse', response));
  }

  sendBundles(response: X509BundlesResponse): void {
    this.bundles = response;
    for (const stream of this.#open.bundles) stream.write(encodeMessage('X509BundlesResponse', response));
  }

  #accept(call: Stream, kind: 'svids' | 'bundles'): void {
    this.opened[kind]++;
    const [header] = call.metadata.get('workload.spiffe.io');
    if (header !== 'true') {
      call.emit('error', { code: status.INVALID_ARGUMENT, details: 'security header missing from request' });
      return;
    }
    if (this.refuse !== undefined) {
      call.emit('error', this.refuse);
      return;
    }
    if (kind === 'bundles' && this.bundles === undefined) {
      call.emit('error', { code: status.UNIMPLEMENTED, details: 'not here' });
      return;
    }
    this.#open[kind].add(call);
    call.on('cancelled', () => this.#open[kind].delete(call));
    call.on('close', () => this.#open[kind].delete(call));
    if (kind === 'bundles' && this.bundles) call.write(encodeMessage('X509BundlesResponse', this.bundles));
    if (kind === 'svids' && this.svids) call.write(encodeMessage('X509SVIDResponse', this.svids));
  }
}
