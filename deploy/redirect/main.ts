/** `tollway redirect`: asks what there is, rehearses every step, then runs them. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { stderr, stdout } from 'node:process';
import { type Command, parseFlags, usage } from './flags.ts';
import type { Family } from './settings.ts';
import { type Backend, iptablesProgram, NO_STATE, type State, type Step, stepsOf } from './steps.ts';

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

class Runner {
  readonly #prefix: readonly string[];

  constructor(namespace: string | undefined) {
    this.#prefix = namespace === undefined ? [] : ['nsenter', `--net=${namespace}`, '--'];
  }

  /** `undefined`: the program is not installed. Throws with what it said when it fails. */
  run(command: readonly string[], input?: string): string | undefined {
    const [program = '', ...args] = [...this.#prefix, ...command];
    const result = spawnSync(program, args, { input: input ?? '', encoding: 'utf8', maxBuffer: 64 << 20 });
    if (result.error !== undefined && 'code' in result.error && result.error.code === 'ENOENT') return undefined;
    if (result.error !== undefined) throw result.error;
    if (result.status === 127) return undefined;
    if (result.status === 0) return result.stdout;
    throw new Error(`${command.join(' ')}: ${result.stderr.trim() || `ended with ${result.status}`}`);
  }

  must(command: readonly string[], input?: string): void {
    if (this.run(command, input) === undefined) throw new Error(`${command[0]} is not installed`);
  }

  state(family: Family, variant: string | undefined): State {
    return {
      rules: this.run([iptablesProgram(family, variant, 'save')]) ?? '',
      tables: this.run(['nft', 'list', 'tables']) ?? '',
      routeRules: this.run(['ip', family === 'ipv4' ? '-4' : '-6', 'rule', 'list']) ?? '',
      loopback: this.run(['ip', family === 'ipv4' ? '-4' : '-6', 'addr', 'show', 'dev', 'lo']) ?? '',
    };
  }

  installed(program: string): boolean {
    return this.run([program, '--version']) !== undefined;
  }
}

function nameServers(): string[] {
  const lines = readFileSync('/etc/resolv.conf', 'utf8').split('\n');
  return lines.flatMap((line) => /^nameserver\s+([\da-fA-F.:]+)/.exec(line)?.[1] ?? []);
}

function hasIpv6(namespace: string | undefined): boolean {
  // the interfaces of another namespace are not seen from here
  if (namespace !== undefined) return true;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.some(({ family, internal, scopeid }) => family === 'IPv6' && !internal && scopeid === 0);
}

function show(steps: readonly Step[]): string {
  return steps
    .map(({ command, input }) =>
      input === undefined ? `${command.join(' ')}\n` : `${command.join(' ')} <<END\n${input}END\n`,
    )
    .join('');
}

function redirect(command: Command): void {
  const { settings, undo, dryRun, variant } = command;
  const runner = new Runner(command.namespace);
  const backend: Backend =
    command.backend ?? (dryRun || runner.installed(iptablesProgram('ipv4', undefined, 'restore')) ? 'iptables' : 'nft');
  const wanted = (family: Family) => !undo && settings.families.includes(family);
  // a family that is not wanted any more loses its rules
  const steps = FAMILIES.filter((family) => !dryRun || undo || wanted(family)).flatMap((family) => {
    const state = dryRun && !undo ? NO_STATE : runner.state(family, variant);
    return stepsOf(settings, family, state, { backend, variant, undo: !wanted(family) });
  });
  if (dryRun) {
    stdout.write(show(steps));
    return;
  }
  if (command.skip) return;
  // both families, before either is changed
  for (const { rehearsal, input } of steps) if (rehearsal !== undefined) runner.must(rehearsal, input);
  for (const { command: words, input } of steps) runner.must(words, input);
}

const argv = process.argv.slice(2);
try {
  const at = argv.indexOf('--network-namespace');
  const namespace = at < 0 ? argv.find((one) => one.startsWith('--network-namespace='))?.split('=')[1] : argv[at + 1];
  const command = parseFlags(argv, { hasIpv6: hasIpv6(namespace), nameServers });
  if (command === 'help') stdout.write(usage());
  else redirect(command);
} catch (error) {
  stderr.write(`tollway redirect: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
