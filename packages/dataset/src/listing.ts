/** What a source holds: a folder or a tar seen as one list of relative paths, so that layouts need not know which. */
import { open, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { scanTar } from '@ilsvrc/engine';

/** A file that may be an image. */
export interface Entry {
  /** Relative to the source, parts divided by `/`, without a leading `./`. */
  path: string;
  /** Where a tar's member is in the archive, bytes. */
  member?: { offset: number; size: number };
}

/** The content of a source. */
export interface Listing {
  /** The folder or archive, as the user gave it. */
  source: string;
  kind: 'folder' | 'tar';
  /** Files with an image's extension, sorted by path. Whether they are images is for the decoder to say. */
  images: Entry[];
  /** Names of other files that can hold names of classes. */
  texts: Entry[];
  /** Files that are neither: hidden ones, AppleDouble files, other extensions, links that lead in circles. */
  ignored: number;
}

const imageName = /\.(jpe?g|png|bmp|gif|webp)$/i;
const textName = /\.txt$/i;
/** Longest file of names that is read; ImageNet's whole `words.txt` has 3 MB. */
const longestText = 64 * 1024 * 1024;

/** Lists a folder (recursively, following links) or a tar archive. */
export async function list(source: string): Promise<Listing> {
  const found = await stat(source).catch((cause: NodeJS.ErrnoException) => {
    throw new IlsvrcError('E0201', `cannot read ${source}`, {
      info: cause.code === 'ENOENT' ? 'there is no such file or folder' : cause.message,
      hint: 'give the folder or the tar archive that holds your photos: `ilsvrc prep photos/`',
      cause,
    });
  });
  if (found.isDirectory()) return collect(source, 'folder', walk(source));
  if (found.isFile()) return collect(source, 'tar', members(source));
  throw new IlsvrcError('E0201', `${source} is neither a folder nor a file`, {
    hint: 'give the folder or the tar archive that holds your photos',
  });
}

/** The text of a small file of the listing. */
export async function readText({ source, kind }: Listing, { path, member }: Entry): Promise<string> {
  const size = member?.size ?? (await stat(join(source, path))).size;
  if (size > longestText) {
    throw new IlsvrcError('E0201', `${path} in ${source} is too long for a file of names: ${size} bytes`, {
      info: `at most ${longestText} bytes are read`,
      hint: 'name another one by --names FILE',
    });
  }
  if (kind === 'folder' || !member) return readFile(join(source, path), 'utf8');
  const archive = await open(source);
  try {
    const { buffer, bytesRead } = await archive.read(
      Buffer.alloc(member.size),
      0,
      member.size,
      member.offset,
    );
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await archive.close();
  }
}

async function collect(
  source: string,
  kind: Listing['kind'],
  files: AsyncIterable<Entry | undefined>,
): Promise<Listing> {
  const listing: Listing = { source, kind, images: [], texts: [], ignored: 0 };
  for await (const file of files) {
    if (file === undefined || isHidden(file.path)) listing.ignored++;
    else if (imageName.test(file.path)) listing.images.push(file);
    else {
      listing.ignored++;
      if (textName.test(file.path)) listing.texts.push(file);
    }
  }
  // By UTF-16 code unit, not by locale: the order decides the shuffle, so it must be the same on every machine.
  listing.images.sort((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  if (listing.images.length === 0) {
    throw new IlsvrcError('E0202', `${source} holds no images`, {
      info: `looked for .jpg .jpeg .png .bmp .gif .webp; ignored ${listing.ignored} other files`,
      hint: 'give the folder above the class folders: photos/cats/1.jpg, photos/dogs/2.jpg …',
    });
  }
  return listing;
}

/** Hidden files and folders, and what macOS leaves in archives (`._photo.jpg`, `__MACOSX/`). */
function isHidden(path: string): boolean {
  return path.split('/').some((part) => part.startsWith('.') || part === '__MACOSX');
}

/** All files under a folder; `undefined` for what is no file or was reached by a link that leads back to where it came from. */
async function* walk(root: string): AsyncIterable<Entry | undefined> {
  // Real paths of the folders above each one: a link to any of them is a loop.
  const pending = [{ path: '', above: new Set<string>() }];
  for (let folder = pending.pop(); folder; folder = pending.pop()) {
    const here = join(root, folder.path);
    const real = await realpath(here);
    if (folder.above.has(real)) {
      yield undefined;
      continue;
    }
    const above = new Set(folder.above).add(real);
    const children = await readdir(here, { withFileTypes: true }).catch((cause: Error) => {
      throw new IlsvrcError('E0201', `cannot read ${here}`, { info: cause.message, cause });
    });
    for (const child of children) {
      const path = folder.path === '' ? child.name : `${folder.path}/${child.name}`;
      const target = child.isSymbolicLink() ? await stat(join(root, path)).catch(() => undefined) : child;
      if (target?.isDirectory()) pending.push({ path, above });
      else yield target?.isFile() ? { path } : undefined;
    }
  }
}

async function* members(archive: string): AsyncIterable<Entry> {
  for (const { name, offset, size } of await scanTar(archive)) yield { path: name, member: { offset, size } };
}
