/** A picture in half characters: each cell is two pixels, the upper one as the colour of the sign, the lower one behind it. */
import type { Raster } from './raster.ts';

/** A line of text for each two rows of pixels. */
export function toBlocks({ width, height, pixels }: Raster, isDeep: boolean): string[] {
  const colour = (x: number, y: number, ground: 38 | 48) => {
    const at = (y * width + x) * 3;
    const [red = 0, green = 0, blue = 0] = pixels.subarray(at, at + 3);
    return isDeep ? `${ground};2;${red};${green};${blue}` : `${ground};5;${nearest(red, green, blue)}`;
  };
  return Array.from({ length: Math.ceil(height / 2) }, (_, row) => {
    let line = '';
    let before = '';
    for (let x = 0; x < width; x++) {
      const hasLower = 2 * row + 1 < height;
      const colours = `${colour(x, 2 * row, 38)}${hasLower ? `;${colour(x, 2 * row + 1, 48)}` : ''}`;
      line += `${colours === before ? '' : `\u001b[${colours}m`}▀`;
      before = colours;
    }
    return `${line}\u001b[0m`;
  });
}

/** Levels of the cube of 6 x 6 x 6 colours that follow the first 16. */
const levels = [0, 95, 135, 175, 215, 255];

/** The nearest of the 256 colours: of the cube, or of the 24 greys from 8 in steps of 10. */
function nearest(red: number, green: number, blue: number): number {
  const level = (value: number) => (value < 48 ? 0 : value < 115 ? 1 : Math.floor((value - 35) / 40));
  const [r, g, b] = [level(red), level(green), level(blue)];
  const grey = Math.min(Math.max(Math.round(((red + green + blue) / 3 - 8) / 10), 0), 23);
  const distance = (x: number, y: number, z: number) => (x - red) ** 2 + (y - green) ** 2 + (z - blue) ** 2;
  const inCube = distance(levels[r] ?? 0, levels[g] ?? 0, levels[b] ?? 0);
  const shade = 8 + 10 * grey;
  return distance(shade, shade, shade) < inCube ? 232 + grey : 16 + 36 * r + 6 * g + b;
}
