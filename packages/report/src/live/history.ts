/** What happened in a training, for those who open its page later: bounded, however long it takes. */
import type { StepLoss, TimedEpoch } from '../page/report.ts';

/** A step as the page hears of it. */
interface StepNews extends StepLoss {
  epoch: number;
  step: number;
  /** Steps of an epoch. */
  steps: number;
  images_per_second: number;
}

/** An event of the page, by its name. */
export type News =
  | { name: 'step'; content: StepNews }
  | { name: 'epoch'; content: TimedEpoch }
  /** The first layer as a data URI: to fetch it, a browser could come too late. */
  | { name: 'filters'; content: { source: string } }
  | { name: 'end'; content: { text: string } };

/** News with its number; numbers grow. */
export type NumberedNews = News & { id: number };

/** Steps that are kept; when there are more, every second one goes. */
const most = 2000;

/** Keeps what a page needs to begin with, and what came after any event; of pictures the last one. */
export class History {
  #news: NumberedNews[] = [];
  #steps = 0;
  #last = 0;

  /** Number of the last event. */
  get last(): number {
    return this.#last;
  }

  get epochs(): TimedEpoch[] {
    return this.#news.flatMap((news) => (news.name === 'epoch' ? [news.content] : []));
  }

  get steps(): StepLoss[] {
    return this.#news.flatMap(({ name, content }) =>
      name === 'step' ? [{ at: content.at, loss: content.loss }] : [],
    );
  }

  add(news: News): NumberedNews {
    const numbered: NumberedNews = { ...news, id: ++this.#last };
    if (news.name === 'filters') this.#news = this.#news.filter(({ name }) => name !== 'filters');
    this.#news.push(numbered);
    if (news.name === 'step' && ++this.#steps > most) this.#thin();
    return numbered;
  }

  /** What came after an event; all of it for 0. */
  after(id: number): NumberedNews[] {
    return this.#news.filter((news) => news.id > id);
  }

  #thin(): void {
    let index = 0;
    this.#news = this.#news.filter(({ name }) => name !== 'step' || index++ % 2 === 1);
    this.#steps = Math.floor(this.#steps / 2);
  }
}
