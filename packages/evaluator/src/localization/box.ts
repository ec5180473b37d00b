/** Boxes in pixels of a photo as it came, and how well two of them agree. */

/** The first and the last column and row: left, top, right, bottom. */
export type Box = [left: number, top: number, right: number, bottom: number];

/** Columns and rows of a photo. */
export interface Size {
  width: number;
  height: number;
}

/**
 * Intersection over union, 0 to 1. Corners are pixels that belong to the box, so a side counts `last - first + 1`, as in
 * `compute_overlap.m` of the ILSVRC development kit.
 */
export function overlap(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]) + 1;
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]) + 1;
  // Also where a coordinate is not a number: such a box meets nothing.
  if (!(width > 0 && height > 0)) return 0;
  const shared = width * height;
  return shared / (area(a) + area(b) - shared);
}

/** The best overlap with any of `others`; 0 where there are none. */
export function bestOverlap(box: Box, others: readonly Box[]): number {
  return Math.max(0, ...others.map((other) => overlap(box, other)));
}

/** The part of a box that lies in the photo; a box beside it becomes the nearest edge. */
export function clip([left, top, right, bottom]: Box, { width, height }: Size): Box {
  const within = (value: number, most: number) => Math.min(Math.max(value, 0), most);
  return [within(left, width), within(top, height), within(right, width), within(bottom, height)];
}

/** The middle of a photo: a box with `share` of its sides; 1 for the whole photo. */
export function middle({ width, height }: Size, share: number): Box {
  const margin = (1 - share) / 2;
  return [margin * width, margin * height, (1 - margin) * width, (1 - margin) * height];
}

function area([left, top, right, bottom]: Box): number {
  return (right - left + 1) * (bottom - top + 1);
}
