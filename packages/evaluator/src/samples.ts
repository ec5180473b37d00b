/** What models might say, for tests. */
import type { Outputs } from './outputs.ts';

/** Outputs of models for images whose true classes are `labels`; `rows[m]` holds a row of probabilities for each image. */
export function madeOutputs(rows: number[][][], labels: number[], devkit = false): Outputs {
  const classes = rows[0]?.[0]?.length ?? 0;
  return {
    subject: {
      data: 'data/made',
      checksum: 'c0ffee',
      split: 'val',
      expected: labels.length,
      classes: Array.from({ length: classes }, (_, index) => ({
        wnid: `n${index}`,
        name: index === 1 ? '=cmd, "quoted"' : `class ${index}`,
        ...(devkit ? { devkit_id: 100 + index } : {}),
      })),
      preprocessing: { resize: 'crop', quality: 85 },
      labels: Uint32Array.from(labels),
      numbers: Uint32Array.from(labels.keys()),
      keys: labels.map((_, image) => `0000000${image}-photo`),
      // Not in the order of names.
      paths: labels.map((label, image) => `val/n${label}/photo-${labels.length - image}.jpg`),
    },
    members: rows.map((_, index) => ({
      path: `model-${index}.safetensors`,
      checksum: `${index}`.repeat(64),
      net: 'made',
      views: 10,
      preprocessing: { resize: 'crop', quality: 85 },
      differences: [],
    })),
    probabilities: rows.map((images) => Float32Array.from(images.flat())),
    seconds: 2,
  };
}
