/** The sections of the page, from what a report has. */
import { drawConfusion } from '../charts/confusion.ts';
import { drawCurves } from '../charts/curves.ts';
import { drawReliability } from '../charts/reliability.ts';
import { drawTraffic } from '../charts/traffic.ts';
import { type Drawing, toPage } from '../drawing.ts';
import { dataUri, Html, html } from './html.ts';
import { renderPanels } from './panels.ts';
import type { EvaluationPart, FactGroup, Report } from './report.ts';
import {
  classTable,
  epochTable,
  headline,
  percent,
  reliabilityTable,
  trafficTable,
  worstTable,
} from './tables.ts';

/** A part of the page. */
export interface Section {
  id: string;
  title: string;
  /** A sentence before the rest. */
  lead?: string | undefined;
  body: Html;
}

/** In the order of the page. A live page has room for curves and filters before there are any. */
export function sectionsOf(report: Report, isLive: boolean): Section[] {
  const { evaluation, epochs, panels, pictures } = report;
  return [
    { id: 'trained', title: 'The run', body: renderFacts(report.trained) },
    ...(evaluation ? [numbers(evaluation)] : []),
    ...(epochs.length > 0 || isLive ? [curves(report)] : []),
    ...(report.filters ? [filters(report.filters)] : []),
    ...(panels.length > 0 ? [photos(report)] : []),
    ...pictures.map((picture, index) => ({
      id: `picture-${index + 1}`,
      title: picture.title,
      lead: picture.description,
      body: html`<div class="scroll" tabindex="0" role="region" aria-label="${picture.title}"><img class="wide" alt="${picture.description}" src="${dataUri(picture.picture)}"></div>`,
    })),
    ...(evaluation ? classes(evaluation) : []),
    traffic(report),
    ...(report.measured.length > 0
      ? [{ id: 'measured', title: 'How it was measured', body: renderFacts(report.measured) }]
      : []),
    commands(report),
  ];
}

function renderFacts(groups: readonly FactGroup[]): Html {
  return html`<div class="facts">${groups.map(
    ({ title, facts }) =>
      html`<div><h3>${title}</h3><dl>${facts.map(
        ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
      )}</dl></div>`,
  )}</div>`;
}

function numbers(evaluation: EvaluationPart): Section {
  return { id: 'numbers', title: 'In numbers', lead: evaluation.what, body: headline(evaluation) };
}

function curves({ epochs }: Report): Section {
  const [loss, error] = drawCurves(epochs);
  return {
    id: 'curves',
    title: 'Curves',
    lead: 'Training figures are with dropout and augmentation, validation figures of the centre view. Dashed lines: the learning rate falls.',
    body: html`<div class="charts">${chart('loss', loss)}${chart('error', error)}</div>
<details><summary>The figures as a table</summary>${epochTable(epochs)}</details>`,
  };
}

/** The drawing stands there for paper and where no program runs; else a chart that can be asked takes its place. */
function chart(kind: string, drawing: Drawing): Html {
  return html`<figure class="chart" data-chart="${kind}" data-title="${drawing.title}"><div class="still">${new Html(toPage(drawing))}</div></figure>`;
}

function filters({ description, png }: NonNullable<Report['filters']>): Section {
  const source = png === undefined ? undefined : dataUri({ type: 'png', bytes: png });
  return {
    id: 'filters',
    title: 'The first layer',
    lead: description,
    body: html`<div class="scroll" tabindex="0" role="region" aria-label="Kernels of the first layer"><img id="kernels" class="pixels" alt="${description}"${source === undefined ? new Html(' hidden') : html` src="${source}"`}></div>`,
  };
}

function photos({ panels }: Report): Section {
  const right = panels.filter(({ guesses }) => guesses[0]?.isTruth).length;
  return {
    id: 'photos',
    title: 'Photos',
    lead: `Drawn by chance: ${right} that the model has right, ${panels.length - right} that it has wrong. Below each photo its true class, then the likeliest ones; the true one has another colour and a tick.`,
    body: renderPanels(panels),
  };
}

function classes(evaluation: EvaluationPart): Section[] {
  const { classes, confusion, worst, calibration } = evaluation;
  const names = classes.map(({ name }) => name);
  const heat = drawConfusion(confusion, names);
  const { title, description } = heat;
  return [
    {
      id: 'classes',
      title: 'Classes',
      lead: 'A press on a column sorts by it.',
      body: classTable(classes),
    },
    {
      id: 'confusion',
      title: 'Confusion',
      lead: description,
      body: html`<div class="split"><div class="scroll" tabindex="0" role="region" aria-label="${title}">${new Html(toPage(heat))}</div>${worstTable(worst)}</div>`,
    },
    {
      id: 'reliability',
      title: 'Reliability',
      lead: `Expected calibration error ${percent(calibration.ece)}, in ${calibration.bins.length} bins of equal width. Bars on the diagonal are right as often as they say.`,
      body: html`<figure class="single">${new Html(toPage(drawReliability(calibration)))}</figure>
<details><summary>The figures as a table</summary>${reliabilityTable(calibration)}</details>`,
    },
  ];
}

function traffic({ net, layers }: Report): Section {
  const drawing = drawTraffic(net, layers);
  return {
    id: 'towers',
    title: 'Between the towers',
    lead: drawing.description,
    body: html`<div class="scroll broad" tabindex="0" role="region" aria-label="${drawing.title}">${new Html(toPage(drawing))}</div>
<details><summary>The figures as a table</summary>${trafficTable(layers)}</details>`,
  };
}

function commands({ commands }: Report): Section {
  return {
    id: 'again',
    title: 'Do it again',
    body: html`<ol class="commands">${commands.map(
      ({ command, what }) => html`<li><p>${what}</p><pre tabindex="0"><code>${command}</code></pre></li>`,
    )}</ol>`,
  };
}
