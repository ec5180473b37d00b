/** IEEE 754 binary16 for files; Node 22 has no Float16Array. */

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** The nearest half of a finite f32, ties to even; beyond 65504 infinity, and NaN stays NaN. */
export function toHalf(value: number): number {
  float[0] = value;
  const word = bits[0] ?? 0;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below the smallest normal half the unit is 2^-24, a power of two: scaling is exact.
  if (magnitude < 0x38800000) return sign | roundToEven(Math.abs(value) * 2 ** 24);
  const exponent = (magnitude >>> 23) - 112;
  return sign | ((exponent << 10) + roundToEven((magnitude & 0x7fffff) / 2 ** 13));
}

/** The value of a half; exact. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 0x3ff;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

function roundToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
