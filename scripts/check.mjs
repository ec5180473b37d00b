// Everything that must hold before a commit: format, lint, types, dead code, package shape, lock, rustfmt, clippy.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

const steps = [
  ['biome', 'ci', '.'],
  ['tsc', '-b'],
  // These run as they are and are built by nobody.
  ['tsc', '-p', 'bench'],
  ['knip'],
  ...readdirSync('packages').map((name) => ['publint', 'run', `packages/${name}`, '--strict']),
  ['node', 'scripts/complete-lock.mjs', '--check'],
  ['cargo', 'fmt', '--all', '--check'],
  ['cargo', 'clippy', '--workspace', '--all-targets', '--quiet', '--', '-D', 'warnings'],
];

// All of them, so that one run shows everything there is to mend.
const failed = steps.filter(([command, ...args]) => {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw error;
  return status !== 0;
});
for (const step of failed) console.error(`check: ${step.join(' ')} failed`);
if (failed.length === 0) console.error('check: all good');
else process.exitCode = 1;
