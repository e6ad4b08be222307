/** From a path in the merged bootstrap message to the place in the file or the command line where it was written. */
import type { Place, YamlNode } from './yaml-file.ts';

type Step = string | number;

/** `a.b[0].c["d.e"]`, the way problems and field errors write paths. */
export function stepsOf(path: string): Step[] {
  const steps: Step[] = [];
  for (const match of path.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g)) {
    if (match[1] !== undefined) steps.push(Number(match[1]));
    else if (match[2] !== undefined) steps.push(unquoted(match[2]));
    else steps.push(match[3] as string);
  }
  return steps;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}

/** Proto names and JSON names are the same field. */
function sameName(name: string): string {
  return name.replaceAll('_', '').toLowerCase();
}

function entry(node: YamlNode | undefined, name: string): YamlNode | undefined {
  const exact = node?.entries?.get(name);
  if (exact !== undefined || node?.entries === undefined) return exact;
  const wanted = sameName(name);
  for (const [key, value] of node.entries) if (sameName(key) === wanted) return value;
  return undefined;
}

/**
 * The place of what `path` names, or of the nearest thing around it that was written. `over` was merged over `base`:
 * its values win, and its list items follow base's. A path may leave `typed_config` out.
 */
export function locate(base: YamlNode | undefined, over: YamlNode | undefined, path: string): Place | undefined {
  let below = base;
  let above = over;
  let place = base?.place ?? over?.place;
  for (const step of stepsOf(path)) {
    if (typeof step === 'number') {
      const first = below?.items?.length ?? 0;
      above = step < first ? undefined : above?.items?.[step - first];
      below = below?.items?.[step];
    } else {
      below = entry(below, step) ?? entry(entry(below, 'typed_config'), step);
      above = entry(above, step) ?? entry(entry(above, 'typed_config'), step);
    }
    const found = above ?? below;
    if (found === undefined) break;
    place = found.place;
  }
  return place;
}
