/**
 * Istio's certificate authority for tests, after the published protocol: knows callers by bearer token or client certificate,
 * signs what they ask for with the names that are theirs, and can be told to do worse.
 */
import { X509Certificate } from 'node:crypto';
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { namesInCertificate } from '../../certs/names.ts';
import type { DevCa } from '../../certs/source/dev-ca.ts';
import { decodeMessage, encodeMessage, serviceDefinition } from '../../protos/index.ts';

export interface SigningRequest {
  readonly csr: string;
  readonly ttlMs: number;
  /** Who the caller is known to be. */
  readonly spiffeId: string;
}

export interface IstioCaServerOptions {
  /** Bearer tokens and whose they are. */
  readonly tokens?: ReadonlyMap<string, string>;
  readonly credentials?: ServerCredentials;
  /** Longer lives are cut to this. */
  readonly maxTtlMs?: number;
}

export class IstioCaServer {
  readonly requests: SigningRequest[] = [];
  /** Of every call, accepted or not. */
  readonly metadata: Metadata[] = [];
  /** What to answer in the place of leaf, intermediate and root. */
  answer: ((request: SigningRequest) => readonly string[]) | undefined;
  ca: DevCa;
  readonly #options: IstioCaServerOptions;
  #server: Server | undefined;

  constructor(ca: DevCa, options: IstioCaServerOptions = {}) {
    this.ca = ca;
    this.#options = options;
  }

  /** `127.0.0.1:0` takes a free port. Gives the target to dial. Again after `stop`. */
  listen(address = '127.0.0.1:0'): Promise<string> {
    const server = new Server();
    this.#server = server;
    server.addService(serviceDefinition('istio.v1.auth.IstioCertificateService'), {
      CreateCertificate: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
        this.#create(call, reply),
    });
    const credentials = this.#options.credentials ?? ServerCredentials.createInsecure();
    return new Promise((resolve, reject) => {
      server.bindAsync(address, credentials, (error, port) => {
        if (error !== null) reject(error);
        else resolve(address.startsWith('unix:') ? address : `${address.slice(0, address.lastIndexOf(':'))}:${port}`);
      });
    });
  }

  /** Connections end at once. */
  stop(): void {
    this.#server?.forceShutdown();
  }

  #create(call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void {
    this.metadata.push(call.metadata);
    const spiffeId = this.#callerOf(call);
    if (spiffeId === undefined) {
      reply(failure(status.UNAUTHENTICATED, 'request authenticate failure'));
      return;
    }
    const { csr = '', validity_duration = 0 } = decodeMessage('istio.v1.auth.IstioCertificateRequest', call.request);
    const request = { csr, ttlMs: Math.min(validity_duration * 1000, this.#options.maxTtlMs ?? 86_400_000), spiffeId };
    this.requests.push(request);
    try {
      const cert_chain = [...(this.answer ?? this.signed)(request)];
      reply(null, encodeMessage('istio.v1.auth.IstioCertificateResponse', { cert_chain }));
    } catch (error) {
      reply(failure(status.INVALID_ARGUMENT, String(error)));
    }
  }

  /** As istiod answers: the leaf, what lies between, and the root. */
  readonly signed = ({ csr, ttlMs, spiffeId }: SigningRequest): readonly string[] => {
    const { chain } = this.ca.sign(csr, ttlMs, { uris: [spiffeId], dnsNames: [], ips: [] });
    return [...chain.split(/(?<=-----END CERTIFICATE-----\n)/), this.ca.rootPem];
  };

  #callerOf(call: ServerUnaryCall<Buffer, Buffer>): string | undefined {
    const [bearer] = call.metadata.get('authorization');
    if (typeof bearer === 'string') return this.#options.tokens?.get(bearer.replace(/^Bearer /, ''));
    const certificate = call.getAuthContext().sslPeerCertificate?.raw;
    return certificate === undefined ? undefined : namesInCertificate(new X509Certificate(certificate).raw).uris[0];
  }
}

function failure(code: status, details: string): Partial<ServiceError> {
  return { code, details };
}
