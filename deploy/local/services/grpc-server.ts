/** Payments over gRPC (settlement.proto), and the report of those that were settled. */
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { type Lines, NotTaken, type Payment, type Payments } from './payments.ts';
import { SETTLEMENT, type Settled, type SettleReply } from './settlement-api.ts';

/** A report ends by itself, and is opened again: no connection under it has to outlive its certificates. */
const REPORT_MS = 15_000;
/** Messages that a reader may be behind. */
const MAX_BEHIND = 10_000;

/**
 * `sent`: for each message of a report, in order, its report and payment; a report alone when it ended. Compared with what
 * its reader wrote down.
 */
export function grpcServer(payments: Payments, sent: Lines): Server {
  const server = new Server();
  const reports = new Map<string, ServerWritableStream<object, Settled>>();
  let opened = 0;
  server.addService(SETTLEMENT, {
    Settle: (call: ServerUnaryCall<Payment, SettleReply>, done: sendUnaryData<SettleReply>) => {
      void settle(payments, call, done);
    },
    Report: (call: ServerWritableStream<object, Settled>) => {
      // The process is in it: one that was killed and came again begins other reports.
      const report = `${payments.name}/${process.pid}/${++opened}`;
      reports.set(report, call);
      const gone = (): void => {
        if (reports.delete(report)) sent.add(report);
      };
      const end = setTimeout(() => {
        gone();
        call.end();
      }, REPORT_MS).unref();
      call.on('cancelled', gone);
      call.on('error', gone);
      call.on('close', () => {
        clearTimeout(end);
        gone();
      });
    },
  });
  payments.onPaid = (id) => {
    for (const [report, call] of reports) {
      if (call.writableLength > MAX_BEHIND) {
        call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `${MAX_BEHIND} messages behind` });
        continue;
      }
      sent.add(`${report} ${id}`);
      call.write({ report, id });
    }
  };
  return server;
}

/** Resolves when it listens, with the port. */
export function listenGrpc(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

async function settle(
  payments: Payments,
  { request, metadata }: ServerUnaryCall<Payment, SettleReply>,
  done: sendUnaryData<SettleReply>,
): Promise<void> {
  try {
    done(null, { id: request.id, hops: await payments.take(request, (name) => header(metadata, name)) });
  } catch (thrown) {
    // Taken and failed further on is no UNAVAILABLE: that would invite callers to send it again.
    const code = thrown instanceof NotTaken ? status.UNAVAILABLE : status.ABORTED;
    done({ code, details: thrown instanceof Error ? thrown.message : String(thrown) });
  }
}

function header(metadata: Metadata, name: string): string | undefined {
  const values = metadata.get(name);
  return values.length === 0 ? undefined : values.join(',');
}
