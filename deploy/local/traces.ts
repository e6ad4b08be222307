/** The newest traces, and one of them as a person reads it. */
import type { Span } from './otlp.ts';

/** Traces kept; each hop reports on its own, so that a trace grows for a second or two. */
const KEPT = 200;
const SETTLED_MS = 2_000;

interface Trace {
  readonly spans: Span[];
  grewAt: number;
}

export class Traces {
  private readonly traces = new Map<string, Trace>();

  /** `now`: milliseconds. */
  add(span: Span, now: number): void {
    let trace = this.traces.get(span.traceId);
    if (trace === undefined) {
      trace = { spans: [], grewAt: now };
      this.traces.set(span.traceId, trace);
      for (const oldest of this.traces.keys()) {
        if (this.traces.size <= KEPT) break;
        this.traces.delete(oldest);
      }
    }
    trace.spans.push(span);
    trace.grewAt = now;
  }

  /** The spans of the newest trace that grows no more; `undefined` while there is none. */
  newest(now: number): readonly Span[] | undefined {
    return [...this.traces.values()].findLast(({ grewAt }) => now - grewAt >= SETTLED_MS)?.spans;
  }
}

/** A line a span, children below their parents in the order in which they began. */
export function traceText(spans: readonly Span[]): string {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const lines: string[] = [];
  const show = (span: Span, depth: number): void => {
    const took = `${(span.endMs - span.startMs).toFixed(1)} ms`;
    lines.push(`${took.padStart(10)}  ${'  '.repeat(depth)}${span.kind} ${span.service}: ${span.name}`);
    for (const child of childrenOf(span.spanId)) show(child, depth + 1);
  };
  const childrenOf = (parent: string): Span[] =>
    spans.filter(({ parentSpanId }) => parentSpanId === parent).sort((a, b) => a.startMs - b.startMs);
  for (const span of spans) if (!known.has(span.parentSpanId)) show(span, 0);
  return `trace ${spans[0]?.traceId ?? '-'}\n${lines.join('\n')}\n`;
}
