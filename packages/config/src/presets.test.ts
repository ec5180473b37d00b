import * as v from 'valibot';
import { expect, test } from 'vitest';
import { netSchema } from './net.ts';
import { type PresetName, presets } from './presets.ts';
import { recipeSchema } from './recipe.ts';

test.each(Object.keys(presets) as PresetName[])('%s is valid and named as its key', (name) => {
  const net = presets[name].net(10);
  expect(v.parse(netSchema, net)).toEqual(net);
  expect(v.parse(recipeSchema, presets[name].recipe)).toEqual(presets[name].recipe);
  expect(net.name).toBe(name);
});

test('the last layer has as many units as there are classes', () => {
  for (const { net } of Object.values(presets)) {
    expect(net(17).layers.at(-1)).toMatchObject({ type: 'dense', units: 17 });
  }
});

test('a misspelt field is refused', () => {
  const net = { ...presets.alexnet.net(10), tower: 2 };
  expect(v.safeParse(netSchema, net).success).toBe(false);
});
