/** The tables of the page. Those that can be sorted have a button in each title; `data-value` is what is compared. */
import type { Calibration } from '../charts/reliability.ts';
import type { TowerLayer } from '../charts/traffic.ts';
import { type Html, html } from './html.ts';
import type { ClassRow, EvaluationPart, TimedEpoch } from './report.ts';

/** A fraction as `17.5 %`. */
export const percent = (value: number): string =>
  `${(100 * value).toFixed(value > 0 && value < 0.0995 ? 2 : 1)} %`;

const count = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 0 });

/** A cell: what is read, and what is compared. */
interface Cell {
  text: string;
  value: string | number;
}

const text = (value: string): Cell => ({ text: value, value });
const number = (value: number | null, format: (value: number) => string): Cell =>
  value === null ? { text: '–', value: '' } : { text: format(value), value };

/** The error rates with their intervals, and what else sums the evaluation up. */
export function headline({ top1, top5, log_loss, calibration, classes }: EvaluationPart): Html {
  const rate = (name: string, { error, interval: [low, high] }: EvaluationPart['top1']) =>
    html`<div class="number"><dt>${name} error</dt><dd><strong>${percent(error)}</strong><span>95 %: ${percent(low)} to ${percent(high)}</span><span>accuracy ${percent(1 - error)}</span></dd></div>`;
  const other = (name: string, value: string, note: string) =>
    html`<div class="number"><dt>${name}</dt><dd><strong>${value}</strong><span>${note}</span></dd></div>`;
  return html`<dl class="numbers">${rate('Top-1', top1)}${rate('Top-5', top5)}${other('Log loss', log_loss.toFixed(4), 'nats an image')}${other('Calibration error', percent(calibration.ece), `ECE, ${calibration.bins.length} bins`)}</dl>
${classes.length <= 5 && html`<p>With ${classes.length} classes the top-5 error says nothing: look at top-1.</p>`}`;
}

/** What the curves are made of. */
export function epochTable(epochs: readonly TimedEpoch[]): Html {
  const titles = [
    'Epoch',
    'Training loss',
    'Validation loss',
    'Training top-1',
    'Top-1',
    'Top-5',
    'Rate',
    'Images/s',
    'Seconds',
  ];
  const rows = epochs.map((epoch) => [
    number(epoch.epoch, String),
    number(epoch.loss, (value) => value.toFixed(4)),
    number(epoch.val_loss, (value) => value.toFixed(4)),
    number(epoch.train_top1_error, percent),
    number(epoch.top1_error, percent),
    number(epoch.top5_error, percent),
    number(epoch.lr, (value) => String(Number(value.toPrecision(3)))),
    number(epoch.images_per_second, count),
    number(epoch.seconds, count),
  ]);
  return table('Epochs', titles, rows, { id: 'epochs' });
}

/** A row a class, to be sorted. */
export function classTable(classes: readonly ClassRow[]): Html {
  const titles = ['Class', 'Folder', 'Images', 'Top-1 error', 'Top-5 error', 'Most taken for', 'Times'];
  const rows = classes.map(({ name, wnid, images, top1_error, top5_error, confused_with: other }) => [
    text(name),
    text(wnid),
    number(images, count),
    number(top1_error, percent),
    number(top5_error, percent),
    other ? text(other.name) : { text: '–', value: '' },
    number(other?.images ?? null, count),
  ]);
  return table('Errors by class', titles, rows, { sortable: true });
}

/** The pairs that are mistaken most. */
export function worstTable(worst: EvaluationPart['worst']): Html {
  const rows = worst.map(({ truth, guess, images, share }) => [
    text(truth),
    text(guess),
    number(images, count),
    number(share, percent),
  ]);
  return table('The most frequent mistakes', ['True class', 'Taken for', 'Images', 'Share'], rows, {
    shown: true,
  });
}

/** The diagram's bins that hold images. */
export function reliabilityTable({ bins }: Calibration): Html {
  const rows = bins
    .filter(({ images }) => images > 0)
    .map(({ low, high, images, confidence, accuracy }) => [
      text(`${Math.round(100 * low)} to ${Math.round(100 * high)} %`),
      number(images, count),
      number(confidence, percent),
      number(accuracy, percent),
    ]);
  return table('Reliability', ['Confidence', 'Images', 'Mean confidence', 'Accuracy'], rows);
}

/** Bytes an image, layer by layer. */
export function trafficTable(layers: readonly TowerLayer[]): Html {
  const rows = layers.map(({ name, towers, shape, own, other }) => [
    text(name),
    text(shape.join(' × ')),
    number(towers, String),
    number(own, count),
    number(other, count),
  ]);
  const titles = ['Layer', 'Makes', 'Towers', 'Reads of its own, bytes', 'Reads of the other, bytes'];
  return table('What each tower reads for an image', titles, rows);
}

/** A table under a title that only screen readers need unless it is `shown`. */
function table(
  title: string,
  titles: readonly string[],
  rows: readonly (readonly Cell[])[],
  { sortable = false, shown = false, id }: { sortable?: boolean; shown?: boolean; id?: string } = {},
): Html {
  const isNumber = titles.map((_, column) =>
    rows.every((row) => typeof row[column]?.value === 'number' || row[column]?.value === ''),
  );
  const align = (column: number) => isNumber[column] === true && html` class="number"`;
  const head = (name: string, column: number) =>
    html`<th scope="col"${align(column)}${sortable && html` aria-sort="none"`}>${sortable ? html`<button type="button">${name}</button>` : name}</th>`;
  const cell = ({ text, value }: Cell, column: number) =>
    html`<td${align(column)}${sortable && html` data-value="${value}"`}>${text}</td>`;
  return html`<div class="scroll table" tabindex="0" role="region" aria-label="${title}"><table${id !== undefined && html` id="${id}"`}${sortable && html` class="sortable"`}><caption${!shown && html` class="unseen"`}>${title}</caption><thead><tr>${titles.map(head)}</tr></thead><tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table></div>`;
}
