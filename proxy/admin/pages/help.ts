/** `/` and `/help`, made of the pages themselves. */
import { type Answer, HTML, type Page, text } from '../page.ts';

/** Both pages over `pages`, which may grow until the first request. */
export function helpPages(pages: readonly Page[]): Page[] {
  return [
    { path: '/', help: 'Admin home page', answer: () => home(pages) },
    { path: '/help', help: 'print out list of admin commands', answer: () => text(helpText(pages)) },
  ];
}

/** The list of commands, as Envoy lays it out. */
export function helpText(pages: readonly Page[]): string {
  let out = 'admin commands are:\n';
  for (const page of sorted(pages)) {
    out += `  ${page.path}${page.mutates === true ? ' (POST)' : ''}: ${page.help}\n`;
    for (const [name, help] of page.parameters ?? []) out += `      ${name}: ${help}\n`;
  }
  return out;
}

function sorted(pages: readonly Page[]): Page[] {
  return [...pages].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function home(pages: readonly Page[]): Answer {
  let rows = '';
  for (const page of sorted(pages)) {
    if (page.path === '/') continue;
    const path = page.path.slice(1);
    const name = escapeHtml(path);
    const control =
      page.mutates === true
        ? `<form action="${name}" method="post"><button>${name}</button></form>`
        : `<a href="${name}">${name}</a>`;
    rows += `<tr><td>${control}</td><td>${escapeHtml(page.help)}</td></tr>\n`;
  }
  const body =
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Tollway Admin</title>\n' +
    '<style>body{font-family:sans-serif}td{padding:4px;text-align:left}form{margin:0}' +
    'tr:nth-child(even){background:#ddd}</style>\n</head>\n<body>\n<table>\n' +
    `<tr><th>Command</th><th>Description</th></tr>\n${rows}</table>\n</body>\n</html>\n`;
  return { status: 200, type: HTML, body };
}

function escapeHtml(value: string): string {
  return value.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
}
