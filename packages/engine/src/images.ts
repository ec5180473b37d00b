/** Single images of a prepared data set, and the views in which a net sees an image. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { run } from './jobs.ts';
import { type Event, native } from './native.ts';
import type { Net } from './net.ts';

/** Which images. */
export interface ImagesRequest {
  /** Folder of the prepared data set. */
  dataset: string;
  split: string;
  /** Numbers in the split, from 0; `null` for all of it. */
  numbers: number[] | null;
}

/** What is known of an image of a data set. */
export interface ImageRow {
  /** Its number in the split. */
  number: number;
  /** File name of its shard, and where its JPEG lies there. */
  shard: string;
  offset: number;
  length: number;
  /** Name of its members in the shard, without the ending. */
  key: string;
  /** The photo that it was made of, as the source names it. */
  path: string;
  /** Its class in the data set. */
  class: number;
  /** Boxes around objects: left, top, right, bottom in prepared pixels. The crop may have cut them: they may reach outside. */
  boxes: [left: number, top: number, right: number, bottom: number][];
  /** Size of the photo before it was prepared; known of images with boxes. */
  source: [width: number, height: number] | null;
}

/** What is known of images, in the order asked for. */
export async function imageRows(request: ImagesRequest): Promise<ImageRow[]> {
  const start = (emit: (event: Event) => void) => native.imageRows(JSON.stringify(request), emit);
  return (await run<ImageRow[]>(start)).payload;
}

/** The JPEGs of images, in the order of the rows. */
export async function readJpegs(dataset: string, rows: ImageRow[]): Promise<Uint8Array[]> {
  const shards = new Map<string, Awaited<ReturnType<typeof open>>>();
  try {
    const jpegs: Uint8Array[] = [];
    for (const { shard, offset, length, key } of rows) {
      const file = shards.get(shard) ?? (await open(join(dataset, shard)));
      shards.set(shard, file);
      const { bytesRead, buffer } = await file.read(new Uint8Array(length), 0, length, offset);
      if (bytesRead !== length) throw new Error(`${shard} ends before ${key}.jpg`);
      jpegs.push(buffer);
    }
    return jpegs;
  } catch (cause) {
    throw new IlsvrcError('E0203', `cannot read images of ${dataset}`, {
      info: cause instanceof Error ? cause.message : String(cause),
      hint: `ilsvrc prep --check ${dataset}`,
      cause,
    });
  } finally {
    await Promise.all([...shards.values()].map((file) => file.close()));
  }
}

/** A crop of an image: its corner in prepared pixels, and whether it is read from right to left. */
export interface View {
  row: number;
  column: number;
  mirror: boolean;
}

/** How many crops of an image are averaged: the centre; three by three places; corners and centre, then mirrored. */
export type Views = 1 | 9 | 10;

/** The crops that are averaged, in the order of the views of {@link FeaturesReport}. */
export function viewsOf({ image, crop }: Net, views: Views): View[] {
  const room = image - crop;
  const middle = Math.floor(room / 2);
  const centre = { row: middle, column: middle, mirror: false };
  if (views === 1) return [centre];
  const grid = (places: number[]) =>
    places.flatMap((row) => places.map((column) => ({ row, column, mirror: false })));
  if (views === 9) return grid([0, middle, room]);
  const corners = grid([0, room]);
  const plain = [...corners, centre];
  return [...plain, ...plain.map((view) => ({ ...view, mirror: true }))];
}
