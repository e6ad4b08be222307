/** Every flag of Envoy's command line, in the order the help shows them. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** `list` may be given more than once. */
  readonly kind: 'switch' | 'text' | 'number' | 'list';
  readonly help: string;
  /** false: taken for the sake of command lines written for Envoy, and changes nothing. */
  readonly effect?: false;
}

const nothing = 'Accepted for compatibility: changes nothing';

export const flags: readonly Flag[] = [
  { name: 'config-path', short: 'c', kind: 'text', help: 'Bootstrap file: YAML, JSON, or protobuf (.pb)' },
  { name: 'config-yaml', kind: 'text', help: 'Bootstrap as YAML text, merged over the file' },
  { name: 'mode', kind: 'text', help: "'serve' (default), or 'validate': check the bootstrap and exit" },
  { name: 'concurrency', kind: 'number', help: 'Worker threads, 1 by default; 0 serves in the main thread' },
  { name: 'service-node', kind: 'text', help: 'Node id, over the one of the bootstrap' },
  { name: 'service-cluster', kind: 'text', help: 'Cluster of the node, over the one of the bootstrap' },
  { name: 'service-zone', kind: 'text', help: 'Zone of the node, over the one of the bootstrap' },
  {
    name: 'log-level',
    short: 'l',
    kind: 'text',
    help: 'trace, debug, info (default), warning or warn, error, critical, off',
  },
  { name: 'component-log-level', kind: 'text', help: 'Levels of components: upstream:debug,config:trace' },
  { name: 'log-path', kind: 'text', help: 'File of the process log; standard error by default' },
  {
    name: 'log-format',
    kind: 'text',
    help: "Process log as text in spdlog's syntax, such as '[%T.%e][%l][%n] %v'; JSON by default",
  },
  { name: 'log-format-escaped', kind: 'switch', help: 'Escape control characters in the text of the process log' },
  { name: 'drain-time-s', kind: 'number', help: 'Seconds that draining takes, 600 by default' },
  { name: 'drain-strategy', kind: 'text', help: "'gradual' (default) or 'immediate'" },
  { name: 'parent-shutdown-time-s', kind: 'number', help: nothing, effect: false },
  { name: 'admin-address-path', kind: 'text', help: 'File to write the address of the admin interface to' },
  { name: 'local-address-ip-version', kind: 'text', help: nothing, effect: false },
  {
    name: 'file-flush-interval-msec',
    kind: 'number',
    help: 'Accepted for compatibility: access logs are written every 100 ms',
    effect: false,
  },
  {
    name: 'file-flush-min-size-kb',
    kind: 'number',
    help: 'Accepted for compatibility: access logs are written every 100 ms',
    effect: false,
  },
  {
    name: 'allow-unknown-static-fields',
    kind: 'switch',
    help: 'Warn about unknown fields of the bootstrap instead of refusing it',
  },
  { name: 'allow-unknown-fields', kind: 'switch', help: 'The old name of --allow-unknown-static-fields' },
  {
    name: 'reject-unknown-dynamic-fields',
    kind: 'switch',
    help: 'Accepted for compatibility: unknown fields of xDS resources are shown at /unsupported',
    effect: false,
  },
  {
    name: 'ignore-unknown-dynamic-fields',
    kind: 'switch',
    help: 'Accepted for compatibility: unknown fields of xDS resources are shown at /unsupported',
    effect: false,
  },
  { name: 'skip-deprecated-logs', kind: 'switch', help: nothing, effect: false },
  { name: 'disable-extensions', kind: 'text', help: nothing, effect: false },
  { name: 'stats-tag', kind: 'list', help: nothing, effect: false },
  { name: 'base-id', kind: 'number', help: nothing, effect: false },
  { name: 'base-id-path', kind: 'text', help: nothing, effect: false },
  { name: 'use-dynamic-base-id', kind: 'switch', help: nothing, effect: false },
  { name: 'restart-epoch', kind: 'number', help: nothing, effect: false },
  { name: 'disable-hot-restart', kind: 'switch', help: nothing, effect: false },
  { name: 'hot-restart-version', kind: 'switch', help: 'Print "disabled" and exit' },
  { name: 'skip-hot-restart-on-no-parent', kind: 'switch', help: nothing, effect: false },
  { name: 'skip-hot-restart-parent-stats', kind: 'switch', help: nothing, effect: false },
  { name: 'socket-path', kind: 'text', help: nothing, effect: false },
  { name: 'socket-mode', kind: 'text', help: nothing, effect: false },
  { name: 'enable-core-dump', kind: 'switch', help: nothing, effect: false },
  { name: 'enable-mutex-tracing', kind: 'switch', help: nothing, effect: false },
  { name: 'enable-fine-grain-logging', kind: 'switch', help: nothing, effect: false },
  { name: 'log-stacktrace-single-entry', kind: 'switch', help: nothing, effect: false },
  { name: 'cpuset-threads', kind: 'switch', help: nothing, effect: false },
  { name: 'version', kind: 'switch', help: 'Print the version and exit' },
  { name: 'help', short: 'h', kind: 'switch', help: 'Print this and exit' },
];
