/** Configurations of extensions cross to the workers as JSON: their decoder writes it, the extension reads it again. */
import type { Json } from './common.ts';

/** As it will be after its way: members that are `undefined` are gone. */
export function plain(config: object): Json {
  return JSON.parse(JSON.stringify(config)) as Json;
}

/** What the extension's own decoder made with `plain`; nobody else writes its configuration. */
export function fromPlain<Config>(config: Json): Config {
  const made: unknown = config;
  return made as Config;
}
