/** Models in the forms of other programs. */
import { type JobOptions, run } from './jobs.ts';
import { native } from './native.ts';
import type { Net } from './net.ts';

/** A form that models are written in. */
export type ExportFormat = 'onnx' | 'safetensors';

/** A file that was written. */
export interface Exported {
  format: ExportFormat;
  file: string;
  bytes: number;
}

/** What to import. */
export interface ImportRequest {
  /** A `.caffemodel`, or safetensors in the names of torchvision's alexnet. */
  file: string;
  /** Caffe's `mean.binaryproto`. */
  mean: string | null;
  /** The model file to write. */
  out: string;
  /** The classes in the order of the net's outputs; `null`: numbers. */
  classes: { wnid: string; name: string; devkit_id?: number | undefined }[] | null;
  /** Where the classes are from, for the record. */
  class_order: string;
}

/** What was imported. */
export interface ImportReport {
  origin: {
    format: string;
    /** What the file calls its net. */
    net: string;
    resize: 'crop' | 'warp';
    /** Order of the channels that its first layer read. */
    channels: 'BGR' | 'RGB';
    /** What was subtracted from pixels, and what they were multiplied by then, in words. */
    mean: string;
    scale: string;
  };
  net: Net;
  classes: number;
  parameters: number;
  /** Length of the model file. */
  bytes: number;
}

/** Writes a model in other forms, each file whole or not at all. */
export async function exportModel(
  model: string,
  files: { format: ExportFormat; path: string }[],
  options?: JobOptions,
): Promise<Exported[]> {
  const request = JSON.stringify({ model, files });
  return (await run<Exported[]>((emit) => native.exportModel(request, emit), options)).payload;
}

/** Writes a model of another program as one of ours, which then needs that program's file no more. */
export async function importModel(request: ImportRequest, options?: JobOptions): Promise<ImportReport> {
  const start = JSON.stringify(request);
  return (await run<ImportReport>((emit) => native.importModel(start, emit), options)).payload;
}
