import { expect, test } from 'vitest';
import { formatCurve } from '../format.ts';
import { toBlocks } from './blocks.ts';
import { besideImage, formatImage } from './image.ts';
import { imageProtocol } from './protocol.ts';
import { type Raster, resize } from './raster.ts';

/** Red over blue, white over black. */
const image: Raster = {
  width: 2,
  height: 2,
  pixels: Uint8Array.of(255, 0, 0, 255, 255, 255, 0, 0, 255, 0, 0, 0),
};
const terminal = { write: () => {}, isTTY: true, columns: 80 };

/** Escape codes made visible. */
const visible = (text: string) => text.replaceAll('\u001b', '␛').replaceAll('\r', '␍');

test('pictures go where the environment says that they can be seen', () => {
  const auto = (env: NodeJS.ProcessEnv) => imageProtocol(terminal, 'auto', env);
  expect(auto({ TERM: 'xterm-kitty' })).toBe('kitty');
  expect(auto({ TERM: 'xterm-256color', KITTY_WINDOW_ID: '1' })).toBe('kitty');
  expect(auto({ TERM: 'xterm-256color', TERM_PROGRAM: 'WezTerm' })).toBe('sixel');
  expect(auto({ TERM: 'xterm-256color', TERM_PROGRAM: 'iTerm.app' })).toBe('sixel');
  expect(auto({ TERM: 'foot' })).toBe('sixel');
  expect(auto({ TERM: 'xterm-256color', COLORTERM: 'truecolor' })).toBe('blocks');
  expect(auto({ TERM: 'xterm-256color' })).toBe('blocks256');
  expect(auto({ TERM: 'linux' })).toBeUndefined();
  // tmux hands neither on, whatever terminal it runs in.
  expect(auto({ TERM: 'tmux-256color', KITTY_WINDOW_ID: '1', TMUX: '/tmp/x' })).toBe('blocks256');
});

test('no picture goes into a pipe, where colours are not wanted, or where nobody asked for one', () => {
  const deep = { TERM: 'xterm-256color', COLORTERM: 'truecolor' };
  expect(imageProtocol({ write: () => {} }, 'kitty', deep)).toBeUndefined();
  expect(imageProtocol(terminal, 'blocks', { ...deep, NO_COLOR: '1' })).toBeUndefined();
  expect(imageProtocol(terminal, 'sixel', { ...deep, TERM: 'dumb' })).toBeUndefined();
  expect(imageProtocol(terminal, 'never', deep)).toBeUndefined();
  expect(imageProtocol(terminal, 'sixel', deep)).toBe('sixel');
  expect(imageProtocol(terminal, 'blocks', { TERM: 'linux' })).toBe('blocks256');
});

test('a half block is two pixels; equal neighbours share their colours', () => {
  expect(toBlocks(image, true).map(visible)).toEqual([
    '␛[38;2;255;0;0;48;2;0;0;255m▀␛[38;2;255;255;255;48;2;0;0;0m▀␛[0m',
  ]);
  expect(toBlocks(image, false).map(visible)).toEqual(['␛[38;5;196;48;5;21m▀␛[38;5;231;48;5;16m▀␛[0m']);
  const grey = { width: 2, height: 1, pixels: new Uint8Array(6).fill(128) };
  expect(toBlocks(grey, false).map(visible)).toEqual(['␛[38;5;244m▀▀␛[0m']);
});

test('text stands beside a picture, and goes on below it', () => {
  expect(visible(besideImage(image, ['one', 'two'], 'blocks', 2))).toBe(
    '␛[38;2;255;0;0;48;2;0;0;255m▀␛[38;2;255;255;255;48;2;0;0;0m▀␛[0m  one\n    two\n',
  );
  const kitty = visible(besideImage(image, ['one', 'two'], 'kitty', 2));
  // Room, the picture at the cursor, then the texts two cells right of it.
  expect(kitty).toMatch(
    /^\n\n␛\[2A␛7␛_Ga=T,f=24,s=16,v=16,c=2,r=1,C=1,q=2,m=0;[\w+/=]+␛\\␛8␛\[4Cone\n␛\[4Ctwo\n$/,
  );
});

test('kitty takes raw pixels in pieces', () => {
  const large = { width: 64, height: 64, pixels: new Uint8Array(64 * 64 * 3).fill(7) };
  const pieces = visible(formatImage(large, 'kitty', 4)).match(/␛_G[^;]*;[^␛]*/g) ?? [];
  expect(pieces).toHaveLength(4);
  expect(pieces[0]).toContain('m=1;');
  expect(pieces.at(-1)).toMatch(/^␛_Gm=0;/);
  const data = pieces.map((piece) => piece.slice(piece.indexOf(';') + 1)).join('');
  expect(new Uint8Array(Buffer.from(data, 'base64'))).toEqual(large.pixels);
});

test('sixels say the same pixels', () => {
  const text = formatImage(image, 'sixel', 1);
  expect(visible(text)).toMatchInlineSnapshot(`
    "
    ␛[1A␛7␛P0;1;0q"1;1;8;16#180;2;100;0;0#215;2;100;100;100#5;2;0;0;100#0;2;0;0;0#180!4~!4?$#215!4?!4~-#180!4B!4?$#215!4?!4B$#5!4{!4?$#0!4?!4{-#5!4N!4?$#0!4?!4N␛\\␛8␛[1B␍"
  `);
  expect(decodeSixel(text)).toEqual(resize(image, 8, 16));
});

test('a larger picture is of means, a smaller one of the nearest pixels', () => {
  expect([...resize(image, 1, 1).pixels]).toEqual([128, 64, 128]);
  expect([...resize(image, 4, 2).pixels.subarray(0, 12)]).toEqual([
    ...[255, 0, 0],
    ...[255, 0, 0],
    ...[255, 255, 255],
    ...[255, 255, 255],
  ]);
});

test('a curve falls from its highest sign to its lowest', () => {
  expect(formatCurve([8, 7, 6, 5, 4, 3, 2, 1], 30)).toBe('█▇▆▅▄▃▂▁');
  expect(formatCurve([4, 2, 2, 0], 2)).toBe('█▁');
  expect(formatCurve([1, 1, 1], 30)).toBe('▁▁▁');
  expect(formatCurve([], 30)).toBe('');
});

/** Draws sixels as a terminal does. */
function decodeSixel(text: string): Raster {
  const body = /␛P[\d;]*q([^␛]*)/.exec(visible(text))?.[1] ?? '';
  const [, width = 0, height = 0] = (/^"1;1;(\d+);(\d+)/.exec(body) ?? []).map(Number);
  const pixels = new Uint8Array(width * height * 3);
  const palette = new Map<number, number[]>();
  let [x, top, colour] = [0, 0, 0];
  for (const [token] of body.slice(body.indexOf('#')).matchAll(/#\d+(;2;\d+;\d+;\d+)?|!\d+.|[?-~]|\$|-/g)) {
    if (token.startsWith('#')) {
      const [number = 0, , ...channels] = token.slice(1).split(';').map(Number);
      if (channels.length > 0) palette.set(number, channels);
      else colour = number;
    } else if (token === '$') x = 0;
    else if (token === '-') [x, top] = [0, top + 6];
    else {
      const bits = (token.codePointAt(token.length - 1) ?? 63) - 63;
      const count = token.startsWith('!') ? Number(token.slice(1, -1)) : 1;
      for (let repeat = 0; repeat < count; repeat++, x++) {
        for (let y = 0; y < 6; y++) {
          if (!(bits & (1 << y))) continue;
          const channels = (palette.get(colour) ?? []).map((percent) => Math.round(2.55 * percent));
          pixels.set(channels, ((top + y) * width + x) * 3);
        }
      }
    }
  }
  return { width, height, pixels };
}
