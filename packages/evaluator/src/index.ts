/** What models are worth: error rates with their intervals, averages of models, and the files of an evaluation. */

export { type Calibration, calibration, type ReliabilityBin } from './calibration.ts';
export { type Confusion, type ConfusionMatrix, confusionMatrix, worstConfusions } from './confusion.ts';
export { csvLine } from './csv.ts';
export { type EvaluateOptions, evaluate } from './evaluate.ts';
export { resultFile, writeEvaluation } from './files.ts';
export {
  type Comparison,
  type Evaluation,
  expectWeights,
  type Fit,
  type JudgedMember,
  type JudgeOptions,
  judge,
  type Rates,
  rate,
} from './judge.ts';
export * from './localization/index.ts';
export { type McNemar, mcnemar } from './mcnemar.ts';
export { type ClassName, expectSameClasses, type ModelInfo, readModel } from './model.ts';
export type { Member, Outputs, Subject } from './outputs.ts';
export { type ClassRates, perClass } from './per-class.ts';
export { type Difference, differences } from './preprocessing.ts';
export { toResult } from './result.ts';
export { readSaved } from './saved.ts';
export { type Prediction, predictionSchema, type Result, resultSchema } from './schema.ts';
export { best, type Scores } from './top-k.ts';
export { writeWhole } from './write.ts';
