import { expect, test } from 'vitest';
import { devices } from './devices.ts';

test.each([
  ['auto', ['auto']],
  ['cpu', ['cpu']],
  ['cpu,cpu', ['cpu', 'cpu']],
  ['0', ['0']],
  ['0,0', ['0', '0']],
  ['0,1', ['0', '1']],
  ['0, 12', ['0', '12']],
  // For several replicas, or ranks.
  ['0,1,2,3', ['0', '1', '2', '3']],
])('%s', (text, places) => {
  expect(devices(text)).toEqual(places);
});

test.each([
  ['cpu,0', 'all on GPUs', '0'],
  ['1,cpu,0,2', 'all on GPUs', '1,0,2'],
  ['auto,0', 'stands alone', 'auto'],
  ['auto,auto', 'stands alone', 'auto'],
])('%s is refused', (text, info, instead) => {
  expect(() => devices(text)).toThrow(
    expect.objectContaining({
      code: 'E0103',
      exitCode: 2,
      message: `--devices cannot be \`${text}\``,
      info: expect.stringContaining(info),
      hint: `write \`--devices ${instead}\``,
    }),
  );
});

test.each([
  ['gpu', 'gpu', '0'],
  ['GPU1', 'GPU1', '1'],
  ['cuda:0,cuda:1', 'cuda:0', '0,1'],
  ['cpus', 'cpus', 'cpu'],
  ['CPU', 'CPU', 'cpu'],
  ['0,gpu', 'gpu', '0,0'],
  ['01', '01', 'auto'],
  ['-1', '-1', 'auto'],
  ['', '', 'auto'],
  ['tpu-pod', 'tpu-pod', 'auto'],
])('%s is unknown', (text, name, likely) => {
  expect(() => devices(text)).toThrow(
    expect.objectContaining({
      code: 'E0107',
      exitCode: 2,
      message: `unknown device \`${name}\``,
      hint: expect.stringContaining(`\`--devices ${likely}\``),
    }),
  );
});
