import { expect, test } from 'vitest';
import { writeFailed } from './index.ts';

test('a full disk is named, other reasons are told', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  expect(writeFailed('a.png', full)).toMatchObject({
    code: 'E0211',
    message: 'the disk is full: cannot write a.png',
    info: full.message,
    cause: full,
  });
  expect(writeFailed('a.png', new Error('EACCES: permission denied'))).toMatchObject({
    message: 'cannot write a.png',
    info: 'EACCES: permission denied',
  });
});
