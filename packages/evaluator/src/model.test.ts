import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { expectSameClasses, type ModelInfo, readModel } from './model.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-model-'));
afterAll(() => rmSync(place, { recursive: true }));

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

test('what a file says of itself is checked before it is used', async () => {
  const path = join(place, 'm.safetensors');
  const right = {
    net: { name: 'a', layers: [{ type: 'relu' }] },
    classes: named('cat', 'dog'),
    preprocessing: { resize: 'crop' },
  };
  const reading = (changed: object) => {
    const texts = Object.entries({ ...right, ...changed }).map(([key, value]) => [
      key,
      JSON.stringify(value),
    ]);
    const header = Buffer.from(
      JSON.stringify({ __metadata__: { 'ilsvrc.version': '1', ...Object.fromEntries(texts) } }),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([length, header]));
    return readModel(path);
  };
  expect(await reading({})).toMatchObject(right);
  const wrong = [
    ...[null, [], { name: 'a' }, { name: 'a', layers: 3 }, { name: 'a', layers: [null] }].map((net) => ({
      net,
    })),
    ...[null, {}, [null], [{ wnid: 'cat' }]].map((classes) => ({ classes })),
    ...[null, [], 'crop'].map((preprocessing) => ({ preprocessing })),
  ];
  for (const changed of wrong) await expect(reading(changed)).rejects.toMatchObject({ code: 'E0303' });
});
