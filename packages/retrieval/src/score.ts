/**
 * How good neighbours are: the share of the right class among the first k (precision), and whether they come first (mean
 * average precision), over all queries and by class; and images of both splits that are the same.
 */
import type { Nearest } from '@ilsvrc/engine';

/** Of so many nearest ones. */
export const cuts = [1, 5, 10] as const;

/** The nearest of each query, and the classes of both sides. */
export interface Scored {
  nearest: Nearest;
  /** The class of each query. */
  queries: ArrayLike<number>;
  /** The class of each row of the store. */
  rows: ArrayLike<number>;
}

/** Means over some queries. */
export interface Quality {
  queries: number;
  /** The share of the right class among the first 1, 5 and 10; `null` where fewer were asked for. */
  precision: Record<(typeof cuts)[number], number | null>;
  /** The mean over queries of average precision within the first k; `null` where there is no query. */
  map: number | null;
}

/** The quality of all queries together and of those of each class. */
export function score(
  { nearest, queries, rows }: Scored,
  classes: number,
): { all: Quality; byClass: Quality[] } {
  const { images, k } = nearest;
  const sums = Array.from({ length: classes + 1 }, () => ({ queries: 0, right: cuts.map(() => 0), map: 0 }));
  for (let query = 0; query < images; query++) {
    const truth = queries[query] ?? 0;
    const right = Array.from(nearest.rows.subarray(query * k, (query + 1) * k), (row) => rows[row] === truth);
    for (const sum of [sums[truth], sums[classes]]) {
      if (sum === undefined) continue;
      sum.queries += 1;
      sum.map += averagePrecision(right);
      for (const [place, cut] of cuts.entries()) {
        sum.right[place] = (sum.right[place] ?? 0) + right.slice(0, cut).filter(Boolean).length;
      }
    }
  }
  const qualities = sums.map((sum): Quality => {
    const share = (place: number) => {
      const cut = cuts[place] ?? 1;
      return k < cut || sum.queries === 0 ? null : (sum.right[place] ?? 0) / (cut * sum.queries);
    };
    const precision = { 1: share(0), 5: share(1), 10: share(2) };
    return { queries: sum.queries, precision, map: sum.queries === 0 ? null : sum.map / sum.queries };
  });
  const all = qualities.pop();
  if (all === undefined) throw new RangeError('there is always the sum of all');
  return { all, byClass: qualities };
}

/**
 * The mean of the precisions at the places of the right ones among those that were found, 0 where none is right (Manning,
 * Raghavan and Schuetze, "Introduction to information retrieval", 2008, section 8.4, cut at k).
 */
export function averagePrecision(right: boolean[]): number {
  let found = 0;
  let sum = 0;
  for (const [place, isRight] of right.entries()) {
    if (!isRight) continue;
    found += 1;
    sum += found / (place + 1);
  }
  return found === 0 ? 0 : sum / found;
}

/** Images of the two splits that are all but the same to the net. */
export interface Duplicate {
  query: number;
  row: number;
  /** Squared. */
  distance: number;
}

/**
 * Pairs whose distance is next to nothing beside what is usual: below this share of the median distance of a query's last
 * neighbour; the first one would be no measure where most of the queries have a duplicate. Photos that were scaled or compressed once more are nearer than that, other photos of the same thing are not.
 */
const nothing = 0.02;

/** Near-duplicates across the splits, the nearest first. */
export function duplicates({ images, k, rows, distances }: Nearest): Duplicate[] {
  if (k === 0 || images === 0) return [];
  const lasts = Array.from({ length: images }, (_, query) => distances[(query + 1) * k - 1] ?? 0);
  const limit = nothing * (lasts.sort((a, b) => a - b)[Math.floor(images / 2)] ?? 0);
  const found: Duplicate[] = [];
  for (let place = 0; place < images * k; place++) {
    const distance = distances[place] ?? 0;
    if (distance <= limit) found.push({ query: Math.floor(place / k), row: rows[place] ?? 0, distance });
  }
  return found.sort((a, b) => a.distance - b.distance || a.query - b.query);
}
