/**
 * One payment application. It knows nothing of the mesh but its sidecar's outbound address. Tells its starter over IPC
 * when it listens. Configured by environment variables:
 *
 * SERVICE_NAME, SERVICE_HOST, SERVICE_PORT   who it is and where it listens (0: any port, which it tells)
 * SERVICE_SPEAKS, SERVICE_NEXT_SPEAKS        `http` (default) or `grpc`: how it is asked, and how it asks
 * SERVICE_OUTBOUND, SERVICE_NEXT             `host:port` of the sidecar's outbound listener, and the authority to ask for
 * SERVICE_LEDGER, SERVICE_REPORTS            files: payments taken, messages of reports sent or received
 */
import { GrpcNext } from './grpc-next.ts';
import { grpcServer, listenGrpc } from './grpc-server.ts';
import { HttpNext } from './http-next.ts';
import { httpServer, listenHttp } from './http-server.ts';
import { Lines, Payments } from './payments.ts';

const { env } = process;
const host = env.SERVICE_HOST ?? '127.0.0.1';
const port = Number(env.SERVICE_PORT ?? 0);
const reports = new Lines(env.SERVICE_REPORTS);

const next = nextService();
const payments = new Payments({ name: env.SERVICE_NAME ?? 'service', ledger: new Lines(env.SERVICE_LEDGER), next });
const bound =
  env.SERVICE_SPEAKS === 'grpc'
    ? await listenGrpc(grpcServer(payments, reports), host, port)
    : await listenHttp(httpServer(payments), host, port);
process.send?.({ type: 'listening', port: bound });
if (next instanceof GrpcNext) next.readReports(reports);

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));

function nextService(): GrpcNext | HttpNext | undefined {
  const { SERVICE_OUTBOUND: outbound, SERVICE_NEXT: service } = env;
  if (outbound === undefined || service === undefined) return undefined;
  const [outboundHost, outboundPort] = outbound.split(':') as [string, string];
  const address = { host: outboundHost, port: Number(outboundPort) };
  return env.SERVICE_NEXT_SPEAKS === 'grpc' ? new GrpcNext(address, service) : new HttpNext(address, service);
}
