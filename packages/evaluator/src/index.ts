/** What models are worth: error rates with their intervals, averages of models, and the files of an evaluation. */

export { type EvaluateOptions, type Evaluation, evaluate, type Rates, rate } from './evaluate.ts';
export { type Result, toResult, writeResult } from './files.ts';
export * from './localization/index.ts';
export { type ClassName, expectSameClasses, type ModelInfo, readModel } from './model.ts';
export { best, type Scores } from './top-k.ts';
