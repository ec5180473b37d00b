/**
 * Runs everything that is timed beside peers and limits, one after the other, and writes the table: an hour or so.
 *
 *     npm run build && node bench/peers.ts [--data DATASET]
 *
 * Makes one throw-away environment for all that is Python, or uses `--python PATH`, which has what the files
 * `requirements.txt` of peers/pytorch, prep and faiss list. `--data`, prepared Imagenette, adds `epoch.ts`. What cannot be installed is left out and named in the results; a
 * command that fails leaves the others, and the exit status is 1.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { render } from './results.ts';
import { available, installPython, resultsFolder, root, run } from './tools.ts';

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    data: { type: 'string' },
    out: { type: 'string', default: resultsFolder },
  },
});

/** Commands of this folder; those that are Python's get an environment. */
const commands = [
  { args: ['step.ts'], python: true },
  { args: ['step.ts', '--preset', 'cifar-80sec'], python: true },
  { args: ['forward.ts'], python: true },
  { args: ['limits.ts'], python: false },
  { args: ['tfjs.ts'], python: false },
  { args: ['prep.ts', '--photos', '1000'], python: true },
  { args: ['search.ts'], python: true },
  ...(values.data === undefined ? [] : [{ args: ['epoch.ts', resolve(values.data)], python: false }]),
];

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
const out = resolve(values.out);
try {
  // The figures that are not measured here stay in the table.
  if (out !== resultsFolder) cpSync(resultsFolder, out, { recursive: true });
  const python =
    values.python ??
    (await available('Python', [], () => {
      const environment = installPython(directory, 'bench/peers/pytorch/requirements.txt');
      for (const peer of ['prep', 'faiss']) {
        const requirements = join(root, 'bench/peers', peer, 'requirements.txt');
        run(environment, ['-m', 'pip', 'install', '--quiet', '-r', requirements]);
      }
      return environment;
    }));
  const failed = commands.filter(({ args: [script = '', ...rest], python: isPython }) => {
    const environment = isPython && python !== undefined ? ['--python', python] : [];
    const args = [join(root, 'bench', script), ...rest, ...environment, '--out', out];
    process.stderr.write(`== ${[script, ...rest].join(' ')}\n`);
    return (
      spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] }).status !== 0
    );
  });
  const text = render(out);
  writeFileSync(join(out, 'README.md'), text);
  process.stdout.write(text);
  for (const { args } of failed) process.stderr.write(`failed: ${args.join(' ')}\n`);
  if (failed.length > 0) process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
