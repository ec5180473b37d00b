/** The views of an image that are averaged, as `--views` takes them and as people read them. */
import type { Views } from '@ilsvrc/engine';
import { oneOf } from './parse.ts';

/** What `--views` may be, for the help. */
export const viewsHelp = '10: corners and centre, each mirrored too; 9: three by three places; 1: the centre';

/** Parses `--views`. */
export const viewsOption = oneOf('--views', ['10', '9', '1']);

const byName: Record<'10' | '9' | '1', Views> = { '10': 10, '9': 9, '1': 1 };

/** The number that `--views` names. */
export const viewsOfOption = (name: keyof typeof byName): Views => byName[name];

const words: Record<Views, { few: string; facts: string }> = {
  1: { few: 'centre view', facts: '1: the centre' },
  9: { few: 'nine views', facts: '9: three by three places from border to border, averaged' },
  10: { few: 'ten views', facts: '10: corners and centre, each mirrored too, averaged' },
};

/** In two words. */
export const fewWords = (views: Views): string => words[views].few;

/** For a table of facts. */
export const factOfViews = (views: Views): string => words[views].facts;
