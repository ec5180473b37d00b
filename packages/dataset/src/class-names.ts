/** Class names for a model that has none: from a prepared data set, or from a list as ImageNet's are. */
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Manifest, readManifest } from './manifest.ts';

type ClassName = Manifest['classes'][number];

/** ImageNet's list of all 82,115 WNIDs has 4 MB. */
const largestList = 16 << 20;

/**
 * The classes in a folder with `dataset.json`, or in a text file of lines `wnid words` (`LOC_synset_mapping.txt`,
 * `synset_words.txt`) in its order. Rejects with E0218 for a file that is no such list.
 */
export async function readClassNames(path: string): Promise<{ classes: ClassName[]; from: string }> {
  const info = await stat(path).catch((cause: Error) => {
    throw new IlsvrcError('E0201', `cannot read ${path}`, { info: cause.message, cause });
  });
  if (info.isDirectory()) {
    return { classes: (await readManifest(path)).classes, from: join(basename(path), 'dataset.json') };
  }
  if (!info.isFile() || info.size > largestList) {
    throw malformed(path, `it is no text file of at most ${largestList >> 20} MB`);
  }
  return { classes: parse(path, await read(path)), from: basename(path) };
}

async function read(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    throw malformed(path, 'it is not UTF-8 text', cause);
  }
}

function parse(path: string, text: string): ClassName[] {
  const seen = new Set<string>();
  const lines = text.split('\n').map((line) => line.trim());
  return lines.flatMap((line, index) => {
    if (line === '') return [];
    const [, wnid = '', words = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    if (seen.has(wnid)) throw malformed(path, `line ${index + 1}: ${wnid.slice(0, 60)} stands there twice`);
    seen.add(wnid);
    // Some copies of Kaggle's file are written `wnid : words`.
    return [{ wnid, name: words.replace(/^: /, '') || wnid }];
  });
}

function malformed(path: string, info: string, cause?: unknown): IlsvrcError {
  return new IlsvrcError('E0218', `${path} is not a list of classes`, {
    info,
    hint: 'lines are `wnid words`, in the order of the model: LOC_synset_mapping.txt or synset_words.txt',
    cause,
  });
}
