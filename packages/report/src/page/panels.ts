/** The classification panel of the slides, as HTML: photo, true class, the likeliest ones as bars. */
import { dataUri, type Html, html } from './html.ts';
import type { PanelPart } from './report.ts';

/** A figure for each photo. */
export function renderPanels(panels: readonly PanelPart[]): Html {
  return html`<div class="panels">${panels.map(renderPanel)}</div>`;
}

function renderPanel({ picture, truth, guesses }: PanelPart): Html {
  const source = dataUri(picture);
  return html`<figure class="panel"><img alt="A photo of class ${truth}" src="${source}">
<figcaption>${truth}</figcaption>
<ol>${guesses.map(renderGuess)}</ol></figure>`;
}

function renderGuess({ name, probability, isTruth }: PanelPart['guesses'][number]): Html {
  const width = (100 * probability).toFixed(1);
  return html`<li${isTruth && html` class="truth"`}><svg aria-hidden="true" viewBox="0 0 100 1" preserveAspectRatio="none"><rect width="${width}" height="1"/></svg><span class="name">${name}${isTruth && html`<span aria-hidden="true"> ✓</span><span class="unseen"> (the true class)</span>`}</span><span class="share">${(100 * probability).toFixed(0)} %</span></li>`;
}
