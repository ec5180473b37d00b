/** What models are worth: error rates with their intervals, averages of models, and the files of an evaluation. */

export { type Calibration, calibration, type ReliabilityBin } from './calibration.ts';
export { type Confusion, type ConfusionMatrix, confusionMatrix, worstConfusions } from './confusion.ts';
export { type EvaluateOptions, type Evaluation, evaluate, type Rates, rate } from './evaluate.ts';
export { type Result, toResult, writeResult } from './files.ts';
export { type McNemar, mcnemar } from './mcnemar.ts';
export { type ClassName, expectSameClasses, type ModelInfo, readModel } from './model.ts';
export { type ClassRates, perClass } from './per-class.ts';
export { best, type Scores } from './top-k.ts';
