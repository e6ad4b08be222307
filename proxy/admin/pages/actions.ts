/** The pages that change something: health, drain, quit, logs and their levels. */
import { type Answer, flag, OK, type Page, text } from '../page.ts';
import type { AdminSources } from '../sources.ts';

const LEVELS = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'];

export function actionPages(sources: AdminSources): Page[] {
  const { actions } = sources;
  const done = (act: () => void): Answer => {
    act();
    return OK;
  };
  return [
    {
      path: '/healthcheck/fail',
      help: 'cause the server to fail health checks',
      mutates: true,
      answer: () => done(() => actions.setHealthFailing(true)),
    },
    {
      path: '/healthcheck/ok',
      help: 'cause the server to pass health checks',
      mutates: true,
      answer: () => done(() => actions.setHealthFailing(false)),
    },
    {
      path: '/drain_listeners',
      help: 'drain listeners',
      parameters: [
        ['graceful', 'Enter a graceful drain period before closing listeners'],
        ['skip_exit', 'Drain the connections but never stop the listeners'],
        ['inboundonly', 'Drain inbound listeners only'],
      ],
      mutates: true,
      answer: (parameters) => {
        const graceful = flag(parameters, 'graceful');
        const skipExit = flag(parameters, 'skip_exit');
        return done(() => actions.drainListeners({ graceful, skipExit, inboundOnly: flag(parameters, 'inboundonly') }));
      },
    },
    {
      path: '/quitquitquit',
      help: 'exit the server',
      mutates: true,
      answer: () => ({ ...OK, afterwards: () => actions.quit() }),
    },
    {
      path: '/reopen_logs',
      help: 'reopen access logs',
      mutates: true,
      answer: () => done(() => actions.reopenLogs()),
    },
    {
      path: '/logging',
      help: 'query/change logging levels',
      parameters: [
        ['paths', 'Change several levels: <logger>:<level>,<logger>:<level>'],
        ['level', `desired logging level of all loggers; One of (, ${LEVELS.join(', ')})`],
      ],
      mutates: true,
      answer: (parameters) => logging(sources, parameters),
    },
  ];
}

function logging(sources: AdminSources, parameters: URLSearchParams): Answer {
  const error = changeLevels(sources, parameters);
  let out = '';
  if (error !== undefined) {
    out =
      `error: ${error}\n\nusage: /logging?<name>=<level> (change single level)\n` +
      'usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n' +
      `usage: /logging?level=<level> (change all levels)\nlevels: ${LEVELS.join(' ')}\n`;
  }
  out += 'active loggers:\n';
  for (const [name, level] of sources.logLevels()) out += `  ${name}: ${level}\n`;
  return text(`${out}\n`, error === undefined ? 200 : 400);
}

/** Nothing is changed when anything is wrong. */
function changeLevels(sources: AdminSources, parameters: URLSearchParams): string | undefined {
  const [first, ...more] = parameters;
  if (first === undefined) return undefined;
  if (more.length > 0) return 'only one parameter can be given';
  const [key, value] = first;
  const changes: (readonly [string | undefined, string])[] = [];
  if (key === 'level') changes.push([undefined, value]);
  else if (key === 'paths' || key === 'group') {
    for (const pair of value.split(',')) {
      const at = pair.lastIndexOf(':');
      changes.push([pair.slice(0, Math.max(at, 0)), pair.slice(at + 1)]);
    }
  } else changes.push([key, value]);
  const known = sources.logLevels();
  for (const [name, level] of changes) {
    if (!LEVELS.includes(level)) return 'unknown logger level';
    if (name !== undefined && !known.has(name)) return 'unknown logger name';
  }
  for (const [name, level] of changes) sources.actions.setLogLevel(name, level);
  return undefined;
}
