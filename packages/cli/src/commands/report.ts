/** `ilsvrc report`: one page about a run, to be opened from the disk and passed on. */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { writeWhole } from '@ilsvrc/evaluator';
import { renderPage } from '@ilsvrc/report';
import { formatBytes } from '@ilsvrc/terminal';
import { RunDirectory } from '@ilsvrc/trainer';
import { loadDefaults } from '../defaults.ts';
import { examples } from '../examples.ts';
import { announce } from '../layout.ts';
import { machineOf, withMachine } from '../machine.ts';
import { type CountedProgress, Output } from '../output.ts';
import { batchSize } from '../parse.ts';
import { attach } from '../report/attach.ts';
import { gather } from '../report/gather.ts';
import { pictureFiles, writePictures } from '../report/pictures.ts';
import type { Verb } from '../verb.ts';
import { viewsHelp, viewsOfOption, viewsOption } from '../views.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  withMachine(
    base
      .argument('[run]', 'a run, by its name or folder (default: the newest one)')
      .optionsGroup('Files:')
      .option('-o, --out <file>', 'the page to write (default: report.html in the run)')
      .option('--attach <file...>', 'pictures to put into the page, as `retrieve --panel` draws')
      .option('--pictures <dir>', 'write its pictures there as PNG files too')
      .option('--force', 'replace files that are there')
      .optionsGroup('Images:')
      .option('--data <dir>', 'a prepared data set (default: the one the run was trained on)')
      .option('--from <dir>', 'an evaluation of the model that `ilsvrc eval --out` saved: no net runs')
      .option('--views <n>', viewsHelp, viewsOption, '10')
      .optionsGroup('Machine:')
      .option('--batch <n>', 'views a pass', batchSize, 120),
  )
    .addHelpText(
      'after',
      examples([
        ['ilsvrc report', 'the newest run, as report.html in its folder'],
        ['ilsvrc report pets -o pets.html', 'runs/pets'],
        [
          'ilsvrc report pets --attach rows.png',
          'with a picture that `ilsvrc retrieve --panel rows.png` drew',
        ],
        ['ilsvrc report pets --pictures slides', 'curves, filters, photos, … as PNG files'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const run = await findRun(given);
      const out = options.out ?? run.report;
      // A run's own page is renewed without asking, as its picture of the first layer is.
      if (options.out !== undefined) await output.expectAbsent(out, options.force);
      for (const file of pictureFiles(options.pictures)) await output.expectAbsent(file, options.force);
      const attached = await attach(options.attach ?? []);
      let progress: CountedProgress | undefined;
      const gathered = await gather(run, {
        data: options.data,
        from: options.from,
        views: viewsOfOption(options.views),
        batch: options.batch,
        ...(await machineOf(options)),
        signal,
        onOpen: (layout) => {
          announce(layout, output);
          progress = output.progress('evaluating', 'images');
        },
        onProgress: ({ done, total }) => progress?.update(done, total),
      }).finally(() => progress?.stop());
      const page = renderPage({ ...gathered.report, pictures: attached });
      await writeWhole(out, page);
      const pictures = options.pictures === undefined ? [] : await writePictures(gathered, options.pictures);
      if (output.isJson) output.document({ version: 1, file: out, bytes: Buffer.byteLength(page), pictures });
      else output.data(`wrote ${out} (${formatBytes(Buffer.byteLength(page))})`);
      for (const picture of pictures) output.say(`drew ${picture}`);
      await output.finish();
    });

export default verb;

/** The run of that name below runs/, or of that folder; without one the newest. */
async function findRun(given: string | undefined): Promise<RunDirectory> {
  if (given === undefined) {
    const { newestRun } = await loadDefaults();
    if (newestRun !== undefined) return new RunDirectory(newestRun);
    throw new IlsvrcError('E0104', 'the argument RUN is missing', {
      info: 'there is no run below runs/ to take',
      hint: 'give the folder of a run, or train one: `ilsvrc train DATASET`',
    });
  }
  // A name is first of all one below runs/: another folder here may have the same.
  const named = join('runs', given);
  const isName = basename(given) === given;
  if (isName && (await isFolder(named))) return new RunDirectory(named);
  if (await isFolder(given)) return new RunDirectory(given);
  throw new IlsvrcError('E0610', `there is no run ${given}`, {
    info: `${isName ? named : given} is no folder`,
    hint: 'name a folder below runs/',
  });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
