/** `COALESCE({"operators": ["ROUTE_NAME", {"command": "REQ", "param": ":path", "max_length": 20}]})`. */
import { type Make, type Operator, type OperatorOptions, shortened } from './operator.ts';

type MakeNamed = (
  name: string,
  argument: string | undefined,
  options: OperatorOptions,
) => Operator | { readonly error: string };

/** The first of several operators that has something to say. `make` knows them by name. */
export function coalesce(make: MakeNamed): Make {
  return (argument, options) => {
    const wanted = parse(argument ?? '');
    if (wanted === undefined)
      return { error: 'needs JSON: {"operators": ["NAME", {"command": "NAME", "param": "x"}]}' };
    const operators: Operator[] = [];
    for (const one of wanted) {
      const entry = entryOf(one);
      if (entry === undefined) return { error: `${JSON.stringify(one)} is no operator: give a name, or a command` };
      const made = make(entry.command, entry.param, options);
      if (typeof made !== 'function') return made;
      operators.push(entry.maxLength === undefined ? made : shortened(made, entry.maxLength));
    }
    return (info, extra) => {
      for (const operator of operators) {
        const value = operator(info, extra);
        if (value !== undefined && value !== null) return value;
      }
      return undefined;
    };
  };
}

function parse(text: string): readonly unknown[] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || !('operators' in parsed)) return undefined;
  const { operators } = parsed;
  return Array.isArray(operators) && operators.length > 0 ? operators : undefined;
}

function entryOf(
  one: unknown,
):
  | { readonly command: string; readonly param: string | undefined; readonly maxLength: number | undefined }
  | undefined {
  if (typeof one === 'string') return { command: one, param: undefined, maxLength: undefined };
  if (typeof one !== 'object' || one === null || !('command' in one) || typeof one.command !== 'string')
    return undefined;
  const param = 'param' in one && typeof one.param === 'string' ? one.param : undefined;
  const maxLength = 'max_length' in one && typeof one.max_length === 'number' ? one.max_length : undefined;
  return { command: one.command, param, maxLength };
}
