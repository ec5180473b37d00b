/** `report.html`: one file with everything in it, which opens from the disk and asks no network for anything. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { embedJson, Html, html } from './html.ts';
import type { Report } from './report.ts';
import { type Section, sectionsOf } from './sections.ts';

/** Where a page that is served while training gets its news. */
export interface LiveSource {
  /** The last event that is in the page already. */
  after: number;
  /** Epochs in all. */
  epochs: number;
}

const asset = (name: string) => readFileSync(new URL(`../../assets/${name}`, import.meta.url), 'utf8');
const library = (name: string) =>
  readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), 'utf8');

/** Style and program of the page; the same for all, read once. */
let inlined: { style: string; script: string } | undefined;

/** The page. With `live` it follows a training. */
export function renderPage(report: Report, live?: LiveSource): string {
  inlined ??= {
    style: library('uPlot.min.css') + asset('page.css'),
    script: library('uPlot.iife.min.js') + asset('page.js'),
  };
  const { style, script } = inlined;
  const sections = sectionsOf(report, live !== undefined);
  const { epochs, steps } = report;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy(style, script, live !== undefined)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${report.name} · ilsvrc</title>
<style>${new Html(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<div class="bar"><p class="brand">ilsvrc ${live ? 'training' : 'report'}</p>
<button type="button" id="theme" aria-pressed="false" hidden>Dark</button></div>
<h1>${report.name}</h1>
<p class="summary">${report.summary}</p>
${live && html`<p class="status" id="status" role="status">Waiting for the first step.</p>`}
</header>
<nav aria-label="Sections"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
<main id="main">${sections.map(renderSection)}</main>
<footer><p>Made by ilsvrc. Everything is in this page: nothing is fetched from elsewhere.</p></footer>
<script type="application/json" id="data">${embedJson({ epochs, steps, live: live ?? null })}</script>
<script>${new Html(script)}</script>
</body>
</html>
`;
  return page.text;
}

function renderSection({ id, title, lead, body }: Section): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${lead && html`<p class="lead">${lead}</p>`}
${body}
</section>`;
}

/** Nothing but what is in the page, and its own server where there is one. */
function policy(style: string, script: string, isLive: boolean): string {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  return [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    'img-src data:',
    ...(isLive ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}
