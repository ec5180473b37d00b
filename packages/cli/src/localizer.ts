/** What `ilsvrc localize` looks with: the model's head where there is one, else by covering parts of the image. */
import { access } from 'node:fs/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type LocateRequest, type Machine, Session } from '@ilsvrc/engine';
import { expectForm, type ModelInfo, readModel } from '@ilsvrc/evaluator';
import { headOf } from './box-head.ts';
import { announce } from './layout.ts';
import type { Output } from './output.ts';

/** Where boxes come from. */
type Method = LocateRequest['method'];

/** What both ways of the verb are given. */
export interface LocalizeRequest {
  model?: string | undefined;
  method?: Method | undefined;
  views: 1 | 10;
  top: number;
  batch: number;
  data?: string | undefined;
  split: string;
  boxes?: string | undefined;
  blacklist?: string | undefined;
  out?: string | undefined;
  panel?: string | undefined;
  machine: Machine;
  output: Output;
  signal: AbortSignal;
}

/** A model at work, and how it finds boxes. */
export interface Localizer {
  session: Session;
  model: ModelInfo;
  method: Method;
  /** The head has a box for each class. */
  isPerClass: boolean;
}

/** Opens the model, and its head where that is what boxes come from. */
export async function openLocalizer(
  path: string,
  { method: asked, batch, machine, out, output }: LocalizeRequest,
): Promise<Localizer> {
  const model = await readModel(path);
  if (out !== undefined) expectForm(out, model.classes);
  const head = headOf(path);
  const hasHead = await access(head).then(
    () => true,
    () => false,
  );
  if (asked === 'boxes' && !hasHead) {
    throw new IlsvrcError('E0510', `${path} has no box head`, {
      info: `${head} is not there`,
      hint: `train one: \`ilsvrc train DATASET --head boxes --model ${path}\`, or use --method occlusion`,
    });
  }
  const method = asked ?? (hasHead ? 'boxes' : 'occlusion');
  if (asked === undefined && !hasHead) {
    output.say(
      `${path} has no box head: boxes are found by covering parts of the image (--method occlusion)`,
    );
  }
  const session = await Session.open({ net: model.net, batch, seed: 0, ...machine, use: 'inference' });
  announce(session.layout, output);
  await session.loadModel(path);
  const record = method === 'boxes' ? await session.loadHead(head) : undefined;
  return { session, model, method, isPerClass: record?.per_class ?? false };
}
