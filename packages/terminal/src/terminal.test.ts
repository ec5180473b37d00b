import { IlsvrcError } from '@ilsvrc/diagnostics';
import { expect, test, vi } from 'vitest';
import { copy } from './clipboard.ts';
import { formatError } from './error.ts';
import { formatBar, formatBytes, formatDuration } from './format.ts';
import { startProgress } from './progress.ts';
import { hasColour, painter, printable, type Sink } from './style.ts';
import { formatMarkdown, formatTable } from './table.ts';

const plain = painter(false);

const clipboard = vi.hoisted(() => ({ write: vi.fn<(text: string) => Promise<void>>() }));
vi.mock('clipboardy', () => ({ default: clipboard }));

test('what cannot be copied is an error that says what to install', async () => {
  clipboard.write.mockResolvedValueOnce();
  await copy('0.153');
  expect(clipboard.write).toHaveBeenCalledWith('0.153');
  clipboard.write.mockRejectedValueOnce(new Error('no display\nat xsel'));
  await expect(copy('0.153')).rejects.toMatchObject({ code: 'E0601', info: 'no display' });
});

test('an error says what, why, what to do and where to read more', () => {
  const error = new IlsvrcError('E0203', 'shard train-000042.tar is 3.1 MB short', {
    info: 'the disk was full',
    hint: 'run `ilsvrc prep --check data`',
  });
  expect(formatError(error, 'docs/errors/E0203.md', plain)).toBe(
    'error[E0203]: shard train-000042.tar is 3.1 MB short\n  info: the disk was full\n  hint: run `ilsvrc prep --check data`\n  docs: docs/errors/E0203.md\n',
  );
  expect(formatError(error, 'docs/errors/E0203.md', plain, true)).toContain('terminal.test.ts');
});

test('numbers stand right, and no line ends with spaces', () => {
  const columns = [{ title: 'layer' }, { title: 'neurons', align: 'right' as const }];
  const rows = [
    ['conv1', '290,400'],
    ['fc8', '1,000'],
  ];
  expect(formatTable(columns, rows, plain)).toBe('layer  neurons\nconv1  290,400\nfc8      1,000\n');
  expect(formatMarkdown(columns, [['a|b', '1']])).toBe(
    '| layer | neurons |\n| --- | ---: |\n| a\\|b | 1 |\n',
  );
});

test('colour only on a terminal that wants it', () => {
  const terminal: Sink = { write: () => {}, isTTY: true, columns: 80 };
  expect(hasColour(terminal, 'auto', {})).toBe(true);
  expect(hasColour(terminal, 'auto', { NO_COLOR: '1' })).toBe(false);
  expect(hasColour(terminal, 'auto', { TERM: 'dumb' })).toBe(false);
  expect(hasColour(terminal, 'never', {})).toBe(false);
  expect(hasColour({ write: () => {} }, 'auto', {})).toBe(false);
  expect(hasColour({ write: () => {} }, 'always', {})).toBe(true);
});

test('a pipe gets a plain line now and then, without escape codes', () => {
  vi.useFakeTimers();
  try {
    let text = '';
    const progress = startProgress({ write: (more: string) => (text += more) }, 'reading');
    for (let i = 0; i < 100; i++) {
      progress.update(`${i} of 100`);
      vi.advanceTimersByTime(100);
    }
    progress.stop('done');
    expect(text).toBe('reading\n50 of 100\ndone\n');
  } finally {
    vi.useRealTimers();
  }
});

test('a terminal of no columns is treated as a pipe', () => {
  let text = '';
  startProgress({ write: (more: string) => (text += more), isTTY: true, columns: 0 }, 'reading').stop();
  expect(text).toBe('reading\n');
});

test('durations, bytes and bars', () => {
  expect([4.25, 59.6, 185, 7440].map(formatDuration)).toEqual([
    '4.3 s',
    '1 min 00 s',
    '3 min 05 s',
    '2 h 04 min',
  ]);
  expect([999, 3_100_000, 27e9].map(formatBytes)).toEqual(['999 B', '3.1 MB', '27.0 GB']);
  expect(formatBar(0.5, 4)).toBe('██');
  expect(formatBar(1 / 32, 4)).toBe('▏');
  expect(formatBar(2, 3)).toBe('███');
  expect(formatBar(0.5, -2)).toBe('');
});

test('a name commands no terminal, and our styles stay', () => {
  const bold = painter(true)('bold', 'photo');
  expect(printable(`${bold}\ta\nb é`)).toBe(`${bold}\ta\nb é`);
  for (const style of ['dim', 'red', 'green', 'yellow', 'cyan'] as const) {
    const text = painter(true)(style, 'x');
    expect(printable(text)).toBe(text);
  }
  // Clears the screen, writes the clipboard, hides text, goes back, CSI in one character.
  for (const code of ['\u001b[2J', '\u001b]52;c;eA==\u0007', '\u001b[8m', '\r', '\u009b2J']) {
    expect(printable(`a${code}b`)).not.toMatch(/[\p{Cc}]/u);
    expect(formatError(new IlsvrcError('E0201', `cannot read ${code}`), 'a page', plain)).not.toContain(code);
  }
});
