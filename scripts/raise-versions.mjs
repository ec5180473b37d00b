// Raises all versions by the changesets that wait: those of the packages, of what they ask of each other, and of the lock.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const run = (command, ...args) => execFileSync(command, args, { stdio: 'inherit' });
run('npx', 'changeset', 'version');
const { version } = JSON.parse(readFileSync('packages/cli/package.json', 'utf8'));
const toml = readFileSync('Cargo.toml', 'utf8');
writeFileSync('Cargo.toml', toml.replace(/(\[workspace\.package\]\nversion = )"[^"]+"/, `$1"${version}"`));
run('cargo', 'update', '--workspace', '--offline');
run('npm', 'install', '--package-lock-only', '--ignore-scripts');
run(process.execPath, 'scripts/complete-lock.mjs');
