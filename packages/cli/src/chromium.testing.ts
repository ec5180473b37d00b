/** A browser for tests, where there is one. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The program; `undefined`, and a line that says so, where none is installed. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isProgram);
  if (found === undefined) console.warn('no Chromium on the PATH: tests in a browser are skipped');
  return found;
}

/** Starts it without a window. */
export function startChromium(executablePath: string): Promise<Browser> {
  // In containers tests run as root, which Chromium's sandbox refuses.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
