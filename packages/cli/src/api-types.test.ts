/** What users of the library rely on of its types. `tsc -b` checks these lines; running them shows nothing more. */
import type { presets } from '@ilsvrc/config';
import { type Manifest, readManifest } from '@ilsvrc/dataset';
import {
  type Description,
  type EvaluateReport,
  type PrepEvent,
  type PrepRequest,
  type PrepSummary,
  prep,
  type Session,
  type SessionOptions,
  type TrainReport,
  type TrainWatch,
  watch,
} from '@ilsvrc/engine';
import { type EvaluateOptions, type Evaluation, evaluate, judge, type Outputs } from '@ilsvrc/evaluator';
import { exactEngine, type Hit, type SearchEngine } from '@ilsvrc/retrieval';
import { type EndEvent, type EpochEvent, type TrainEvent, type TrainOptions, train } from '@ilsvrc/trainer';
import { expectTypeOf, test } from 'vitest';

/** Names of the members that must be given. */
type Needed<T> = { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];

test('requests ask for what has no default', () => {
  expectTypeOf<Needed<PrepRequest>>().toEqualTypeOf<'sources' | 'out'>();
  expectTypeOf<Needed<SessionOptions>>().toEqualTypeOf<'net' | 'batch' | 'use'>();
  expectTypeOf<Needed<TrainOptions>>().toEqualTypeOf<'dataset' | 'net' | 'recipe' | 'run'>();
  expectTypeOf<Needed<EvaluateOptions>>().toEqualTypeOf<'models' | 'dataset' | 'split' | 'views'>();
});

test('every call that takes long has a signal', () => {
  expectTypeOf<TrainOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>();
  expectTypeOf<EvaluateOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>();
  expectTypeOf<TrainWatch['signal']>().toEqualTypeOf<AbortSignal | undefined>();
  expectTypeOf(prep).parameter(1).exclude<undefined>().toHaveProperty('signal');
  expectTypeOf<SearchEngine['build']>().parameter(0).exclude<undefined>().toHaveProperty('signal');
});

test('results are typed', () => {
  expectTypeOf(train).returns.resolves.toEqualTypeOf<EndEvent>();
  expectTypeOf(prep).returns.resolves.toEqualTypeOf<PrepSummary>();
  expectTypeOf(readManifest).returns.resolves.toEqualTypeOf<Manifest>();
  expectTypeOf(evaluate).returns.resolves.toEqualTypeOf<Outputs>();
  expectTypeOf(judge).returns.toEqualTypeOf<Evaluation>();
  expectTypeOf<Session['train']>().returns.resolves.toEqualTypeOf<TrainReport>();
  expectTypeOf<Session['evaluate']>().returns.resolves.toEqualTypeOf<EvaluateReport>();
  expectTypeOf(exactEngine).returns.toEqualTypeOf<SearchEngine>();
  expectTypeOf<SearchEngine['search']>().returns.resolves.toEqualTypeOf<Hit[][]>();
  // A preset fits sessions and training runs.
  expectTypeOf<ReturnType<(typeof presets)['alexnet']['net']>>().toExtend<SessionOptions['net']>();
  expectTypeOf<(typeof presets)['alexnet']['recipe']>().toExtend<TrainOptions['recipe']>();
});

test('events narrow by their name, and a watched call keeps both types', () => {
  expectTypeOf<Extract<TrainEvent, { event: 'epoch' }>>().toEqualTypeOf<EpochEvent>();
  expectTypeOf<Extract<PrepEvent, { event: 'found' }>>().toExtend<Description>();
  const watched = () =>
    watch((report: (event: TrainEvent) => Promise<void>, signal) =>
      train({ ...({} as TrainOptions), signal, onEvent: report }),
    );
  expectTypeOf(watched).returns.toEqualTypeOf<AsyncGenerator<TrainEvent, EndEvent, undefined>>();
});
