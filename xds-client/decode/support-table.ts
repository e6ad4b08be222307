/**
 * Writes docs/support.md (each field of each message: acts, ignored, refused) and rules/rules.json from the decoders'
 * declarations: `npm run support`. A test fails when either is older than the decoders.
 */
import { writeFileSync } from 'node:fs';
import { hasMessage, messageFields } from '../../protos/index.ts';
import { declaredSupport, type ExtensionTable, type Support } from './context.ts';
import { EXTENSIONS } from './extensions.ts';
// For its decoders' declarations.
import './index.ts';
import { generateRules } from './rules/generate.ts';

const OUTPUT = {
  table: new URL('../../docs/support.md', import.meta.url),
  rules: new URL('./rules/rules.json', import.meta.url),
} as const;

const INTRODUCTION = `# What Tollway acts on

Generated from the decoders by \`npm run support\`: every field of every message that Tollway reads. Fields that are not
in a list of exceptions **act** as Envoy documents them. **Ignored** fields are accepted with a warning and counted at
\`/unsupported\` on the admin port. **Refused** fields make the resource an error: ignoring them could weaken security or
send a request elsewhere. Extensions whose type is in no list are refused.
`;

function list(reasons: { readonly [field: string]: string }): string[] {
  const byReason = new Map<string, string[]>();
  for (const [field, reason] of Object.entries(reasons)) {
    const fields = byReason.get(reason) ?? [];
    fields.push(`\`${field}\``);
    byReason.set(reason, fields);
  }
  return [...byReason].map(([reason, fields]) => `${fields.join(', ')} (${reason})`);
}

function messageSection({ message, acts, ignored, refused }: Support): string {
  const lines = [`### ${message}`, ''];
  const fields = messageFields(message).length;
  if (fields === 0) lines.push('- no fields');
  if (acts.length > 0) lines.push(`- acts: ${acts.map((field) => `\`${field}\``).join(', ')}`);
  for (const entry of list(ignored)) lines.push(`- ignored: ${entry}`);
  for (const entry of list(refused)) lines.push(`- refused: ${entry}`);
  return lines.join('\n');
}

function extensionSection(category: string, table: ExtensionTable[keyof ExtensionTable]): string {
  const lines = [`### ${category.replaceAll('-', ' ')}`, ''];
  for (const extension of table) {
    const { name, type } = extension;
    let treatment = 'acts';
    if ('ignored' in extension) treatment = `ignored: ${extension.ignored}`;
    if ('refused' in extension) treatment = `refused: ${extension.refused}`;
    lines.push(`- \`${name}\` (\`${type}\`): ${treatment}`);
  }
  return lines.join('\n');
}

/** The text of docs/support.md. */
export function supportTable(): string {
  const messages = [...declaredSupport().values()].sort((a, b) => (a.message < b.message ? -1 : 1));
  const extensions = Object.entries(EXTENSIONS).map(([category, table]) => extensionSection(category, table));
  const sections = ['## Extensions', ...extensions, '## Messages', ...messages.map(messageSection)];
  return `${INTRODUCTION}\n${sections.join('\n\n')}\n`;
}

/** The text of rules/rules.json. */
export function rulesFile(): string {
  return generateRules([...declaredSupport().keys()].filter(hasMessage));
}

if (import.meta.main) {
  writeFileSync(OUTPUT.table, supportTable());
  writeFileSync(OUTPUT.rules, rulesFile());
}
