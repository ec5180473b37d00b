/** HTML as a value: what is put into a template is text and escaped, unless it is HTML itself. */
import { escapeMarkup } from '../drawing.ts';
import type { Embedded } from './report.ts';

/** A piece of HTML that needs no escaping. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template takes. Nothing is put in for `undefined` and `false`. */
type Value = Html | string | number | undefined | false | readonly Value[];

/** A template of HTML: html`<b>${name}</b>`. */
export function html(parts: TemplateStringsArray, ...values: Value[]): Html {
  return new Html(parts.reduce((text, part, index) => text + asText(values[index - 1]) + part));
}

/** JSON for a `<script type="application/json">`: nothing in it can end the element or begin a comment. */
export function embedJson(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll('<', '\\u003c'));
}

/** A picture as a data URI. */
export function dataUri({ type, bytes }: Embedded): string {
  return `data:image/${type};base64,${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}`;
}

function asText(value: Value): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map(asText).join('');
  return escapeMarkup(String(value));
}
