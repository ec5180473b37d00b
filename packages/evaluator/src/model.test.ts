import { expect, test } from 'vitest';
import { expectSameClasses, type ModelInfo } from './model.ts';

const named = (...wnids: string[]) => wnids.map((wnid) => ({ wnid, name: `a ${wnid}` }));
const model = (...wnids: string[]) => ({ path: 'm', classes: named(...wnids) }) as ModelInfo;
const dataset = (...wnids: string[]) => ({ path: 'd', classes: named(...wnids) });

test('labels are numbers, so classes must be the same in the same order', () => {
  expect(() => expectSameClasses(model('cat', 'dog'), dataset('cat', 'dog'))).not.toThrow();
  expect(() => expectSameClasses(model('cat', 'dog'), dataset('dog', 'cat'))).toThrow(
    expect.objectContaining({ code: 'E0307', info: 'class 0 of the model is cat, of the data set dog' }),
  );
  expect(() => expectSameClasses(model('cat'), dataset('cat', 'dog'))).toThrow(
    expect.objectContaining({ code: 'E0307', info: 'the model has 1 classes, the data set 2' }),
  );
});
