/** `ilsvrc export`: a model in the forms that other programs read. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type ExportFormat, exportModel } from '@ilsvrc/engine';
import { readModel } from '@ilsvrc/evaluator';
import { formatBytes } from '@ilsvrc/terminal';
import { loadDefaults, requireModels } from '../defaults.ts';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import type { Verb } from '../verb.ts';

const titles: Record<ExportFormat, string> = {
  onnx: 'ONNX, with the net',
  safetensors: "safetensors in torchvision's names",
};

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .argument('[model]', 'a model file (default: that of the newest run)')
    .optionsGroup('Files:')
    .option('--onnx <file>', 'the net and its weights for ONNX runtimes (opset 17)')
    .option('--safetensors <file>', "the weights for PyTorch, in torchvision's names")
    .option('--force', 'replace files that are there')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc export runs/NAME/model.safetensors --onnx model.onnx', 'pixels in, probabilities out'],
        ['ilsvrc export MODEL --safetensors alexnet.safetensors', 'docs/export.md has the PyTorch module'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const files = (['onnx', 'safetensors'] as const).flatMap((format) => {
        const path = options[format];
        return path === undefined ? [] : [{ format, path }];
      });
      if (files.length === 0) {
        throw new IlsvrcError('E0104', 'no file to write was named', {
          hint: 'say the form and the file: `ilsvrc export MODEL --onnx model.onnx`',
        });
      }
      const [path = ''] = requireModels(given === undefined ? [] : [given], await loadDefaults());
      for (const file of files) await output.expectAbsent(file.path, options.force);
      const { net } = await readModel(path);
      const exported = await exportModel(path, files, { signal });
      if (output.isJson) output.document({ version: 1, model: path, net: net.name, files: exported });
      for (const { format, file, bytes } of exported) {
        output.data(`wrote ${file}: ${titles[format]}, ${formatBytes(bytes)}`);
      }
      await output.finish();
    });

export default verb;
