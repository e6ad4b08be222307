import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CommandLine, parseCommandLine } from '../proxy/command-line.ts';
import { flags } from '../proxy/command-line-flags.ts';

function parse(...argv: string[]): CommandLine {
  return parseCommandLine(argv, '1.2.3');
}

function options(...argv: string[]) {
  const parsed = parse(...argv);
  assert.ok(parsed.kind === 'run', parsed.kind === 'exit' ? parsed.stderr : '');
  return parsed.options;
}

function refused(...argv: string[]): string {
  const parsed = parse(...argv);
  assert.ok(parsed.kind === 'exit');
  assert.equal(parsed.code, 1);
  assert.equal(parsed.stdout, '');
  return parsed.stderr;
}

test("has Envoy's defaults", () => {
  const { configPath, mode, drainTimeS, drainStrategy, logLevel, logFormat, concurrency, withoutEffect } = options();
  assert.deepEqual(
    { configPath, mode, drainTimeS, drainStrategy, logLevel, logFormat, concurrency, withoutEffect },
    {
      configPath: undefined,
      mode: 'serve',
      drainTimeS: 600,
      drainStrategy: 'gradual',
      logLevel: 'info',
      logFormat: undefined,
      concurrency: 1,
      withoutEffect: [],
    },
  );
});

test('reads flags with a space and with an equals sign, long and short', () => {
  const expected = { configPath: 'b.yaml', serviceNode: 'n', logLevel: 'warning', drainTimeS: 45 };
  for (const argv of [
    ['-c', 'b.yaml', '--service-node', 'n', '-l', 'warn', '--drain-time-s', '45'],
    ['--config-path=b.yaml', '--service-node=n', '--log-level=warning', '--drain-time-s=45'],
  ]) {
    const { configPath, serviceNode, logLevel, drainTimeS } = options(...argv);
    assert.deepEqual({ configPath, serviceNode, logLevel, drainTimeS }, expected);
  }
});

test('takes the command line istio gives to a sidecar', () => {
  const taken = options(
    ...['-c', 'etc/istio/proxy/envoy-rev.json', '--drain-time-s', '45', '--drain-strategy', 'immediate'],
    ...['--local-address-ip-version', 'v4', '--file-flush-interval-msec', '1000', '--disable-hot-restart'],
    ...['--allow-unknown-static-fields', '-l', 'warning', '--component-log-level', 'misc:error', '--concurrency', '2'],
    ...['--skip-deprecated-logs', '--log-format', '%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t'],
  );
  assert.equal(taken.drainStrategy, 'immediate');
  assert.deepEqual(taken.componentLogLevels, { misc: 'error' });
  assert.deepEqual(taken.withoutEffect, [
    'local-address-ip-version',
    'file-flush-interval-msec',
    'skip-deprecated-logs',
    'disable-hot-restart',
  ]);
  assert.equal(taken.allowUnknownStaticFields, true);
});

test('accepts every flag that Envoy has', () => {
  const values: { [name: string]: string } = {
    mode: 'validate',
    'log-level': 'debug',
    'component-log-level': 'upstream:debug,config:trace',
    'drain-strategy': 'gradual',
    'local-address-ip-version': 'v6',
    'stats-tag': 'zone:a',
  };
  for (const { name, kind } of flags) {
    if (name === 'help' || name === 'version' || name === 'hot-restart-version') continue;
    const value = values[name] ?? (kind === 'number' ? '3' : 'x');
    assert.equal(parse(`--${name}`, ...(kind === 'switch' ? [] : [value])).kind, 'run', name);
  }
});

test('ignores what follows --', () => {
  assert.equal(options('-c', 'a', '--', '--nonsense', 'x').configPath, 'a');
});

test("refuses in Envoy's words", () => {
  const cases: [string[], string][] = [
    [['--bogus'], "PARSE ERROR: Argument: --bogus\n             Couldn't find match for argument"],
    [['extra'], "PARSE ERROR: Argument: extra\n             Couldn't find match for argument"],
    [['--concurrency', 'x'], "Argument: (--concurrency)\n             Couldn't read argument value from string 'x'"],
    [['-c', 'a', '-c', 'b'], 'Argument: -c (--config-path)\n             Argument already set!'],
    [['-c'], 'Argument: -c (--config-path)\n             Missing a value for this argument!'],
    [['--disable-hot-restart=1'], "Takes no value, and was given '1'"],
    [['-l', 'silly'], "error: invalid log level specified 'silly'"],
    [['--mode', 'foo'], "error: unknown mode 'foo'"],
    [['--drain-strategy', 'foo'], "error: unknown drain-strategy 'foo'"],
    [['--component-log-level', 'foo:debug'], "error: invalid component specified 'foo'"],
    [['--component-log-level', 'upstream:silly'], "error: invalid log level specified 'silly'"],
    [['--component-log-level', 'upstream'], "error: component log level not correctly specified 'upstream'"],
    [['--local-address-ip-version', 'v5'], "error: unknown IP address version 'v5'"],
    [['--stats-tag', 'a.b:c'], "error: misformatted stats-tag 'a.b:c' contains invalid char"],
    [['--stats-tag', 'a'], "error: misformatted stats-tag 'a'"],
    [['--stats-tag', 'a:b', '--stats-tag', 'a:c'], "error: stats-tag name 'a' is given twice"],
  ];
  for (const [argv, words] of cases)
    assert.ok(refused(...argv).includes(words), `${argv.join(' ')}: ${refused(...argv)}`);
});

test('prints help and version, and leaves with 0', () => {
  for (const flag of ['--help', '-h', '--version', '--hot-restart-version']) {
    const parsed = parse(flag);
    assert.ok(parsed.kind === 'exit' && parsed.code === 0 && parsed.stderr === '', flag);
  }
  const help = parse('--help');
  assert.ok(help.kind === 'exit');
  for (const { name } of flags) assert.ok(help.stdout.includes(`--${name}`), name);
  const version = parse('--version');
  assert.ok(version.kind === 'exit' && version.stdout.includes('version: 1.2.3'));
});
