/** Callers and endpoints that agree on a protocol by ALPN, and the configuration between them. */
import { once } from 'node:events';
import { request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createSecureServer, Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { connect, type Server, TLSSocket } from 'node:tls';
import { DevCa } from '../../certs/source/dev-ca.ts';
import { address, bootstrapOf, clusterTo } from './tollway.ts';

const TYPE = 'type.googleapis.com/envoy.extensions';
const ca = new DevCa({ now: Date.now, trustDomain: 'td' });
const leaf = ca.issue({ spiffeId: 'spiffe://td/pay', dnsNames: ['localhost'], ttlMs: 600_000 });
const pair = { cert: leaf.chain, key: leaf.key };
const BOTH = { http_protocol_options: {}, http2_protocol_options: {} };

/** Name to what the endpoint takes by ALPN; `undefined`: it speaks HTTP/1.1 and knows no ALPN. */
export const ENDPOINTS = { both: ['h2', 'http/1.1'], h2: ['h2'], h1: ['http/1.1'], none: undefined } as const;

/** Name to a cluster's choice of protocol. */
export const CHOICES = {
  auto: { auto_config: BOTH },
  downstream: { use_downstream_protocol_config: BOTH },
  'explicit-h1': { explicit_http_config: { http_protocol_options: {} } },
  'explicit-h2': { explicit_http_config: { http2_protocol_options: {} } },
} as const;

/** Name to what the caller offers. */
export const CALLERS = { h2: ['h2'], h1: ['http/1.1'], both: ['h2', 'http/1.1'], none: undefined } as const;

type Offer = readonly string[] | undefined;

function answer(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  const { socket } = request;
  const agreed =
    request instanceof Http2ServerRequest
      ? request.stream.session?.alpnProtocol
      : socket instanceof TLSSocket && socket.alpnProtocol;
  response.setHeader('x-upstream', `HTTP/${request.httpVersion} by ${agreed || 'no ALPN'}`);
  response.end();
}

/** Port of an endpoint that answers with the protocol it was asked in and what was agreed on. */
export async function endpoint(t: TestContext, alpn: Offer): Promise<number> {
  const tls = { ...pair, ALPNProtocols: [...(alpn ?? [])] };
  const server: Server =
    alpn?.includes('h2') === true
      ? createSecureServer({ ...tls, allowHTTP1: alpn.includes('http/1.1') }, answer)
      : createServer(tls, answer);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A listener `tls` that offers both, and a cluster for each choice and endpoint: `/auto-h2` goes to `auto-h2`. */
export function matrixBootstrap(ports: { readonly [endpoint: string]: number }): object {
  const upstream = {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.UpstreamTlsContext`,
      common_tls_context: {},
    },
  };
  const clusters = Object.entries(CHOICES).flatMap(([choice, options]) =>
    Object.entries(ports).map(([name, port]) =>
      clusterTo(`${choice}-${name}`, port, {
        transport_socket: upstream,
        typed_extension_protocol_options: {
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
            '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
            ...options,
          },
        },
      }),
    ),
  );
  const routes = Object.keys(CHOICES).flatMap((choice) =>
    Object.keys(ports).map((name) => ({
      match: { path: `/${choice}-${name}` },
      route: { cluster: `${choice}-${name}` },
    })),
  );
  const manager = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'tls',
    route_config: { name: 'tls', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [{ name: 'router', typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` } }],
  };
  const inline = (text: string) => ({ inline_string: text });
  const downstream = {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: inline(leaf.chain), private_key: inline(leaf.key) }],
        alpn_protocols: ['h2', 'http/1.1'],
      },
    },
  };
  const chain = { filters: [{ name: 'http', typed_config: manager }], transport_socket: downstream };
  return bootstrapOf([{ name: 'tls', address: address(0), filter_chains: [chain] }], clusters);
}

/** What was agreed on with the caller, the status, and what the endpoint says: `h2 200 HTTP/1.1 by http/1.1`. */
export async function asked(port: number, alpn: Offer, path: string): Promise<string> {
  const offer = alpn === undefined ? {} : { ALPNProtocols: [...alpn] };
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...offer });
  try {
    await once(socket, 'secureConnect');
    const agreed = socket.alpnProtocol || 'no ALPN';
    if (agreed !== 'h2') {
      const request = ask({ path, host: 'localhost', createConnection: () => socket }).end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      response.resume();
      return `${agreed} ${response.statusCode} ${response.headers['x-upstream'] ?? ''}`.trim();
    }
    const session = connectHttp2('https://localhost', { createConnection: () => socket });
    const stream = session.request({ ':path': path });
    const [head] = await once(stream, 'response');
    stream.resume();
    session.close();
    return `${agreed} ${head[':status']} ${head['x-upstream'] ?? ''}`.trim();
  } finally {
    socket.destroy();
  }
}

/** Every caller with every choice to every endpoint. */
export async function matrix(port: number): Promise<{ [question: string]: string }> {
  const found: { [question: string]: string } = {};
  for (const [name, alpn] of Object.entries(CALLERS)) {
    for (const choice of Object.keys(CHOICES)) {
      for (const to of Object.keys(ENDPOINTS)) {
        found[`${name}, ${choice} to ${to}`] = await asked(port, alpn, `/${choice}-${to}`);
      }
    }
  }
  return found;
}
