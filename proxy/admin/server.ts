/**
 * The admin interface: Envoy's paths and shapes over `node:http` on the main thread. Requests are bounded in size and
 * time, answers are written piece by piece with a breath between the pieces, so that a scrape of many clusters does not
 * hold up what else the main thread does.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Address } from '../../xds-client/model/common.ts';
import { errorMessage, ProxyError } from '../errors.ts';
import { browserRefusal } from './browser-guard.ts';
import { type Answer, type Page, text } from './page.ts';
import { actionPages } from './pages/actions.ts';
import { certsPage } from './pages/certs.ts';
import { clustersPage } from './pages/clusters.ts';
import { configDumpPage } from './pages/config-dump.ts';
import { helpPages, helpText } from './pages/help.ts';
import { listenersPage } from './pages/listeners.ts';
import { serverPages } from './pages/server.ts';
import { statsPages } from './pages/stats.ts';
import type { AdminSources } from './sources.ts';

const MAX_BODY_BYTES = 64 * 1024;
const MAX_CONNECTIONS = 128;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 60_000;

export interface AdminServerOptions {
  /** Wall clock in milliseconds, for certificates' ages. */
  readonly now?: () => number;
  /** Pages of other rooms. */
  readonly pages?: readonly Page[];
  /** Told of a page that threw. */
  readonly onError?: (path: string, message: string) => void;
}

export class AdminServer {
  private readonly server: Server;
  private readonly pages: Page[];
  private readonly onError: (path: string, message: string) => void;

  constructor(sources: AdminSources, options: AdminServerOptions = {}) {
    this.pages = [
      ...statsPages(sources),
      ...serverPages(sources),
      ...actionPages(sources),
      clustersPage(sources),
      listenersPage(sources),
      certsPage(sources, options.now ?? Date.now),
      configDumpPage(sources),
      ...(options.pages ?? []),
    ];
    this.pages.push(...helpPages(this.pages));
    this.onError = options.onError ?? (() => {});
    // Importing the module takes all of its exports, and one of them loads the whole of undici.
    this.server = process.getBuiltinModule('node:http').createServer({
      maxHeaderSize: 16 * 1024,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: 5000,
    });
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.timeout = IDLE_TIMEOUT_MS;
    this.server.on('request', (request, response) => this.serve(request, response));
  }

  /** Binds and gives the address as bound. Fails with a `ProxyError` `admin-bind`. */
  listen(address: Address): Promise<Address> {
    return new Promise((resolve, reject) => {
      const { server } = this;
      server.once('error', (cause) => {
        const where = address.kind === 'pipe' ? address.path : `${address.host}:${address.port}`;
        reject(new ProxyError('admin-bind', `admin: cannot listen on ${where}: ${errorMessage(cause)}`, { cause }));
      });
      const bound = (): void => {
        const at = server.address();
        const real = typeof at === 'object' && at !== null ? at.port : 0;
        resolve(address.kind === 'pipe' ? address : { kind: 'socket', host: address.host, port: real });
      };
      if (address.kind === 'pipe') server.listen(address.path.replace(/^@/, '\0'), bound);
      else server.listen(address.port, address.host, bound);
    });
  }

  /** Stops listening and closes what is open. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const refusal = browserRefusal(request.headers);
    if (refusal !== undefined) {
      request.resume();
      void send(response, text(`${refusal}\n`, 403));
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
      else if (!response.headersSent) {
        void send(response, text('request body is too large\n', 413)).then(() => request.destroy());
      }
    });
    request.on('end', () => {
      if (size > MAX_BODY_BYTES) return;
      const form = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
      const answer = this.answer(request, form ? Buffer.concat(chunks).toString() : '');
      send(response, answer).catch((thrown: unknown) => {
        this.onError(request.url ?? '', errorMessage(thrown));
        response.destroy();
      });
    });
  }

  private answer(request: IncomingMessage, form: string): Answer {
    const target = request.url ?? '/';
    const at = target.indexOf('?');
    const path = at < 0 ? target : target.slice(0, at);
    const page = this.pages.find((known) => known.path === path);
    if (page === undefined) return text(`invalid path. ${helpText(this.pages)}`, 404);
    if (page.mutates === true && request.method !== 'POST') {
      return text(`Method ${request.method} not allowed, POST required.`, 405);
    }
    const parameters = new URLSearchParams(at < 0 ? '' : target.slice(at + 1));
    for (const [name, value] of new URLSearchParams(form)) parameters.append(name, value);
    try {
      return page.answer(parameters);
    } catch (thrown) {
      this.onError(path, errorMessage(thrown));
      return text(`internal error in ${path}\n`, 500);
    }
  }
}

async function send(response: ServerResponse, answer: Answer): Promise<void> {
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'cache-control': 'no-cache, max-age=0',
    'x-content-type-options': 'nosniff',
    server: 'tollway',
  });
  try {
    if (typeof answer.body === 'string') response.write(answer.body);
    else for (const piece of answer.body) if (!(await writePiece(response, piece))) break;
  } finally {
    if (answer.afterwards === undefined) response.end();
    else {
      let called = false;
      const once = (): void => {
        if (!called) answer.afterwards?.();
        called = true;
      };
      response.once('close', once);
      response.end(once);
    }
  }
}

/** False when the client is gone. */
async function writePiece(response: ServerResponse, piece: string): Promise<boolean> {
  if (response.destroyed) return false;
  if (piece === '') return true;
  if (response.write(piece)) {
    await new Promise((resolve) => setImmediate(resolve));
    return true;
  }
  return new Promise((resolve) => {
    const settle = (open: boolean) => (): void => {
      response.off('drain', drained);
      response.off('close', closed);
      resolve(open);
    };
    const drained = settle(true);
    const closed = settle(false);
    response.once('drain', drained);
    response.once('close', closed);
  });
}
