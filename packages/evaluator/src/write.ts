/** Files that appear whole or not at all. */
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFailed } from '@ilsvrc/diagnostics';

/** Lets `fill` write a temporary file, flushes it to the disk and puts it in the place of `path`. */
export async function replaceFile(path: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}.ilsvrc-tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await fill(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
}

/** Writes a text, and the folders that it lies in. Rejects with E0211 or E0309. */
export async function writeWhole(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, (file) => file.writeFile(text));
  } catch (cause) {
    throw writeFailed(path, cause);
  }
}

/** Writes lines, some thousands at a time. */
export async function writeLines(path: string, lines: Iterable<string>): Promise<void> {
  await replaceFile(path, async (file) => {
    let waiting: string[] = [];
    const flush = async () => {
      if (waiting.length > 0) await file.writeFile(`${waiting.join('\n')}\n`);
      waiting = [];
    };
    for (const line of lines) {
      waiting.push(line);
      if (waiting.length === 4096) await flush();
    }
    await flush();
  });
}
