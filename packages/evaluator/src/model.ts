/** What a model file says of itself. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Net, readModelMetadata } from '@ilsvrc/engine';

/** A class: the folder it came from (for ImageNet a WNID) and its name. */
export interface ClassName {
  wnid: string;
  name: string;
  /** `ILSVRC2012_ID` of the devkit, where the photos came with one. */
  devkit_id?: number | undefined;
}

/** The part of a model's metadata that evaluation and prediction need. */
export interface ModelInfo {
  path: string;
  /** SHA-256 of the file, as it says itself; verified when the weights are loaded. */
  checksum: string;
  net: Net;
  classes: ClassName[];
  /** How its images were prepared, as the data set's manifest says. */
  preprocessing: unknown;
}

/** Reads the metadata of a model file; the weights stay on the disk. */
export async function readModel(path: string): Promise<ModelInfo> {
  const metadata = await readModelMetadata(path);
  return {
    path,
    checksum: metadata['ilsvrc.checksum'] ?? '',
    net: field(path, metadata, 'net', isNet),
    classes: field(path, metadata, 'classes', isClasses),
    preprocessing: field(path, metadata, 'preprocessing', isRecord),
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** As far as it is read before the engine validates all of it. */
const isNet = (value: unknown): value is Net =>
  isRecord(value) &&
  typeof value.name === 'string' &&
  Array.isArray(value.layers) &&
  value.layers.every(isRecord);

const isClasses = (value: unknown): value is ClassName[] =>
  Array.isArray(value) &&
  value.every((it) => isRecord(it) && typeof it.wnid === 'string' && typeof it.name === 'string');

/** A JSON value of the metadata. The checksum of the whole file is verified when the weights are loaded, which is later. */
function field<T>(
  path: string,
  metadata: Record<string, string>,
  key: string,
  isValid: (value: unknown) => value is T,
): T {
  try {
    const value: unknown = JSON.parse(metadata[key] ?? '');
    if (isValid(value)) return value;
  } catch {
    // Falls through to the same error as one of another shape.
  }
  throw new IlsvrcError('E0303', `${path} does not say its ${key}`, {
    info: `its metadata has no valid \`${key}\``,
    hint: 'use a model file that `ilsvrc train` wrote, such as runs/NAME/model.safetensors',
  });
}

/** Fails unless the model and the data set have the same classes in the same order: labels are numbers. */
export function expectSameClasses(model: ModelInfo, dataset: { path: string; classes: ClassName[] }): void {
  const differs = (what: string) =>
    new IlsvrcError('E0307', `${model.path} and ${dataset.path} do not have the same classes`, {
      info: what,
      hint: 'evaluate on the data set that the model was trained on, or on one with the same class folders',
    });
  if (model.classes.length !== dataset.classes.length) {
    throw differs(`the model has ${model.classes.length} classes, the data set ${dataset.classes.length}`);
  }
  for (const [index, { wnid }] of model.classes.entries()) {
    const other = dataset.classes[index]?.wnid;
    if (wnid !== other) throw differs(`class ${index} of the model is ${wnid}, of the data set ${other}`);
  }
}
