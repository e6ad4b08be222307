/**
 * Istio's certificate authority: `istio.v1.auth.IstioCertificateService/CreateCertificate`. Each request is for a new key;
 * the caller is known by a service-account token, which is read anew each time because Kubernetes rotates it, or by the client
 * certificate of the connection. Loads gRPC: load it where it is used.
 */
import { readFile } from 'node:fs/promises';
import { type ChannelCredentials, Client, connectivityState, Metadata } from '@grpc/grpc-js';
import { decodeMessage, encodeMessage } from '../../protos/index.ts';
import type { CertificateClock } from '../clock.ts';
import { buildCsr, type KeyType, keyPem, newKeyApart } from '../csr.ts';
import { fitCertificate } from '../fitness.ts';
import { parseSpiffeId } from '../identity.ts';
import { parseCertificates } from '../tls-context.ts';
import { type CertificateAuthority, type Identity, UnfitIdentity } from './contract.ts';

/** Where one call goes. */
export interface AuthorityEndpoint {
  /** grpc-js target: `dns:///istiod:15012`, `unix:/run/ca.sock`. */
  readonly target: string;
  readonly credentials: ChannelCredentials;
  /** `:authority`, where it differs from the target. */
  readonly authority?: string | undefined;
  /** SNI, and the name the certificate is checked for. */
  readonly serverName?: string | undefined;
}

export interface IstioCaOptions {
  /** Asked for every call with the failures in a row, so that each goes on to the next. May throw: a failed call. */
  readonly endpoint: (failures: number) => AuthorityEndpoint;
  /** `undefined`: the connection's client certificate says who we are. */
  readonly tokenPath: string | undefined;
  /** Istio's name of the Kubernetes cluster, by which it finds who can judge the token. */
  readonly clusterId: string | undefined;
  /** What the certificate must be for. */
  readonly spiffeId: string;
  readonly keyType: KeyType;
  /** The life that is asked for; the authority may give less. */
  readonly ttlMs: number;
  readonly clock: CertificateClock;
}

const METHOD = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
const REQUEST = 'istio.v1.auth.IstioCertificateRequest';
const RESPONSE = 'istio.v1.auth.IstioCertificateResponse';
const CONNECT_MS = { urgent: 1_000, usual: 5_000 };
const ANSWER_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_TOKEN_BYTES = 64 * 1024;
/** Of what a server says of a failure. */
const MAX_DETAILS = 200;

const same = (bytes: Buffer): Buffer => bytes;

export class IstioCa implements CertificateAuthority {
  readonly #options: IstioCaOptions;
  #failures = 0;
  #cancel: () => void = () => {};

  constructor(options: IstioCaOptions) {
    this.#options = options;
  }

  async issue(urgent: boolean): Promise<Identity> {
    const { spiffeId, keyType, ttlMs, clock } = this.#options;
    const key = await newKeyApart(keyType);
    const csr = buildCsr(key, { uris: [spiffeId], dnsNames: [], ips: [] });
    const request = encodeMessage(REQUEST, { csr, validity_duration: Math.round(ttlMs / 1000) });
    const metadata = await this.#metadata();
    let answer: Buffer;
    try {
      answer = await this.#call(request, metadata, urgent);
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      throw error;
    }
    return identityOf(certificatesOf(answer), keyPem(key), spiffeId, clock.now());
  }

  close(): void {
    this.#cancel();
  }

  async #metadata(): Promise<Metadata> {
    const { tokenPath, clusterId } = this.#options;
    const metadata = new Metadata();
    if (tokenPath !== undefined) metadata.set('authorization', `Bearer ${await tokenIn(tokenPath)}`);
    if (clusterId !== undefined) metadata.set('clusterid', clusterId);
    return metadata;
  }

  /** A connection for each call: rotated trust, client certificates and addresses are taken at once. */
  #call(request: Buffer, metadata: Metadata, urgent: boolean): Promise<Buffer> {
    const { target, credentials, authority, serverName } = this.#options.endpoint(this.#failures);
    const { clock } = this.#options;
    const client = new Client(target, credentials, {
      'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.service_config_disable_resolution': 1,
      ...(authority === undefined ? {} : { 'grpc.default_authority': authority }),
      ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
    });
    return new Promise<Buffer>((resolve, reject) => {
      const call = client.makeUnaryRequest<Buffer, Buffer>(METHOD, same, same, request, metadata, (error, answer) => {
        stop();
        if (answer !== undefined) resolve(answer);
        else reject(new Error(limited ?? `${target} answered ${error?.code}: ${clip(error?.details)}`));
      });
      let limited: string | undefined;
      const giveUp = (reason: string): void => {
        limited = `${target} ${reason}`;
        call.cancel();
      };
      const connectMs = urgent ? CONNECT_MS.urgent : CONNECT_MS.usual;
      const timers = [
        clock.after(connectMs, () => {
          const state = client.getChannel().getConnectivityState(false);
          if (state !== connectivityState.READY) giveUp(`was not reached in ${connectMs} ms`);
        }),
        clock.after(ANSWER_MS, () => giveUp(`has not answered in ${ANSWER_MS} ms`)),
      ];
      const stop = (): void => {
        for (const cancel of timers) cancel();
        client.close();
      };
      this.#cancel = () => giveUp('is not needed any more');
    });
  }
}

/** The newest one: the file is replaced long before its token ends. */
async function tokenIn(path: string): Promise<string> {
  let token: string;
  try {
    token = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    // the code before the path: logs mask what follows the word token and a colon
    const code = error instanceof Error ? Reflect.get(error, 'code') : 'failed';
    throw new Error(`${code}: cannot read the token "${path}"`);
  }
  if (token === '') throw new Error(`the token "${path}" is empty`);
  if (token.length > MAX_TOKEN_BYTES || !/^[\x21-\x7e]+$/.test(token)) throw new Error(`"${path}" holds no token`);
  return token;
}

function certificatesOf(answer: Buffer): readonly string[] {
  try {
    return decodeMessage(RESPONSE, answer).cert_chain ?? [];
  } catch {
    throw new UnfitIdentity('the answer is not the message of the protocol');
  }
}

/** The leaf first, the root last; the root may stand among the others as well, where it does not belong in a handshake. */
function identityOf(answer: readonly string[], key: string, spiffeId: string, now: number): Identity {
  const last = answer.at(-1);
  if (last === undefined || answer.length < 2) {
    throw new UnfitIdentity(`the answer has ${answer.length} certificates: a leaf and a root are the least`);
  }
  let chain: string;
  try {
    const roots = new Set(parseCertificates(last).map(({ fingerprint256 }) => fingerprint256));
    chain = parseCertificates(answer.slice(0, -1).join('\n'))
      .filter(({ fingerprint256 }) => !roots.has(fingerprint256))
      .map((certificate) => certificate.toString())
      .join('');
  } catch (error) {
    throw new UnfitIdentity(`the answer does not parse: ${error instanceof Error ? error.message : 'failed'}`);
  }
  const material = { chain, key, password: undefined, ocspStaple: undefined };
  const fit = fitCertificate(material, { spiffeId, roots: last, now });
  const id = parseSpiffeId(spiffeId);
  const trustDomain = 'error' in id ? undefined : id.trustDomain;
  return {
    certificates: [{ ...fit, hint: undefined, since: now }],
    bundles: [{ trustDomain, pem: last }],
    crl: undefined,
  };
}

function clip(details: string | undefined): string {
  const text = details ?? 'nothing';
  return text.length > MAX_DETAILS ? `${text.slice(0, MAX_DETAILS)}...` : text;
}
