// Writes "Usage and options" of each docs/<verb>.md anew, from the definitions of the verbs: `npm run docs`, after a build.
import { readFileSync, writeFileSync } from 'node:fs';
import { withUsage } from '../packages/cli/dist/usage.js';
import { verbs } from '../packages/cli/dist/verbs.js';

for (const entry of verbs) {
  const page = new URL(`../docs/${entry.name}.md`, import.meta.url);
  const before = readFileSync(page, 'utf8');
  const after = await withUsage(before, entry);
  if (after === before) continue;
  writeFileSync(page, after);
  console.log(`wrote docs/${entry.name}.md`);
}
