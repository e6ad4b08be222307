/**
 * Clusters that the control plane took away while routes still send to them. Control planes push clusters before routes,
 * so the moment between the two would fail requests; a short grace covers it. Pure.
 */
export class RemovalGrace {
  private readonly graceMs: number;
  private readonly deadlines = new Map<string, number>();

  constructor(graceMs: number) {
    this.graceMs = graceMs;
  }

  start(name: string, now: number): void {
    if (!this.deadlines.has(name)) this.deadlines.set(name, now + this.graceMs);
  }

  /** The cluster came back. */
  cancel(name: string): void {
    this.deadlines.delete(name);
  }

  isEmpty(): boolean {
    return this.deadlines.size === 0;
  }

  /** Takes out the names that nothing sends to, and those whose grace is over. */
  due(inUse: ReadonlySet<string>, now: number): string[] {
    const due = [...this.deadlines].filter(([name, at]) => at <= now || !inUse.has(name)).map(([name]) => name);
    for (const name of due) this.deadlines.delete(name);
    return due;
  }

  deadline(): number | undefined {
    return this.deadlines.size === 0 ? undefined : Math.min(...this.deadlines.values());
  }
}
