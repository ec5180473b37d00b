/** The table of verbs. A verb is a file in `commands/` and a line here; its code is loaded when it runs. */
import type { Verb } from './verb.ts';

/** A line of the table. */
export interface VerbEntry {
  name: string;
  /** Operands, as the help shows them. */
  operands: string;
  summary: string;
  load(): Promise<{ default: Verb }>;
  /** Several processes may be started to do it together, or each its part or its host; else they are refused (E0426). */
  isShared?: true;
  /** Verbs below this one, with its name before theirs. */
  verbs?: readonly VerbEntry[];
}

/** In the order of a first day's work. */
export const verbs: readonly VerbEntry[] = [
  {
    name: 'prep',
    operands: 'SOURCE…',
    summary: 'photos to shards, mean image and manifest',
    load: () => import('./commands/prep.ts'),
    isShared: true,
  },
  {
    name: 'train',
    operands: '[DATASET]',
    summary: 'a network: checkpoints, metrics, pictures',
    load: () => import('./commands/train.ts'),
    isShared: true,
  },
  {
    name: 'eval',
    operands: '[MODEL…]',
    summary: 'error rates, ten views averaged; several models are averaged too',
    load: () => import('./commands/eval.ts'),
    isShared: true,
  },
  {
    name: 'predict',
    operands: 'MODEL IMAGE…',
    summary: 'classes of photos, in the terminal or as a picture',
    load: () => import('./commands/predict.ts'),
  },
  {
    name: 'retrieve',
    operands: 'MODEL [IMAGE…]',
    summary: 'the nearest training images, by what the net makes of them',
    load: () => import('./commands/retrieve.ts'),
    isShared: true,
  },
  {
    name: 'localize',
    operands: '[MODEL] [IMAGE…]',
    summary: 'boxes around what photos show, and the localization error',
    load: () => import('./commands/localize.ts'),
    isShared: true,
  },
  {
    name: 'filters',
    operands: '[MODEL]',
    summary: 'the first layer as a picture',
    load: () => import('./commands/filters.ts'),
  },
  {
    name: 'report',
    operands: '[RUN]',
    summary: 'a page about a run: curves, photos, classes, mistakes',
    load: () => import('./commands/report.ts'),
  },
  {
    name: 'runs',
    operands: '[compare|best|clean]',
    summary: 'the runs here: how far, how good, how large',
    load: () => import('./commands/runs/list.ts'),
    verbs: [
      {
        name: 'runs list',
        operands: '',
        summary: 'the same as `ilsvrc runs`',
        load: () => import('./commands/runs/list.ts'),
      },
      {
        name: 'runs compare',
        operands: 'RUN RUN…',
        summary: 'settings that differ, and what came of them',
        load: () => import('./commands/runs/compare.ts'),
      },
      {
        name: 'runs best',
        operands: '',
        summary: 'the run with the lowest error, and its model file',
        load: () => import('./commands/runs/best.ts'),
      },
      {
        name: 'runs clean',
        operands: '[RUN…]',
        summary: 'delete runs, after saying which and asking',
        load: () => import('./commands/runs/clean.ts'),
      },
    ],
  },
  {
    name: 'summary',
    operands: '[NET|MODEL]',
    summary: 'layers, neurons, parameters, connections, memory',
    load: () => import('./commands/summary.ts'),
  },
  {
    name: 'export',
    operands: '[MODEL]',
    summary: 'a model for other programs: ONNX, PyTorch',
    load: () => import('./commands/export.ts'),
  },
  {
    name: 'import',
    operands: 'FILE',
    summary: "a model of Caffe's or torchvision's as one of ours",
    load: () => import('./commands/import.ts'),
  },
  {
    name: 'estimate',
    operands: '[NET|MODEL]',
    summary: 'memory, and time and disk of a run, before they are needed',
    load: () => import('./commands/estimate.ts'),
  },
  {
    name: 'bench',
    operands: '[NAME…]',
    summary: 'what this machine reaches, beside its limits',
    load: () => import('./commands/bench.ts'),
  },
  {
    name: 'demo',
    operands: '',
    summary: 'all of it once, on pictures drawn on the spot',
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'init',
    operands: '',
    summary: 'a config file for this folder, by three questions',
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'doctor',
    operands: '',
    summary: 'what works on this machine, and why not',
    load: () => import('./commands/doctor.ts'),
    isShared: true,
  },
  {
    name: 'completions',
    operands: 'SHELL',
    summary: 'what a shell needs to complete verbs, flags and values',
    load: () => import('./commands/completions.ts'),
  },
];

/** The verb that words begin with, and the words after it; `undefined` where there is none of that name. */
export function findVerb(words: readonly string[]): { entry: VerbEntry; rest: string[] } | undefined {
  const entry = verbs.find(({ name }) => name === words[0]);
  if (entry === undefined) return undefined;
  const inner = entry.verbs?.find(({ name }) => name === words.slice(0, 2).join(' '));
  return { entry: inner ?? entry, rest: words.slice(inner === undefined ? 1 : 2) };
}
