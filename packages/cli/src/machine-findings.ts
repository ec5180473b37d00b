/** Lines of `doctor` about the machine without its GPUs: versions, processor, memory, decoders, the disk of the working folder. */
import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Devices, DiskSpeed } from '@ilsvrc/engine';
import { formatBytes } from '@ilsvrc/terminal';
import { broken, type Finding, fine } from './findings.ts';
import { version } from './version.ts';

/** This program. */
export const program = (): Finding => fine('ilsvrc', version());

/** The system. */
export function machine(): Finding {
  return fine(
    'machine',
    `${type()} ${release()}, ${process.arch}, ${availableParallelism()} cores, ${formatBytes(totalmem())} of memory`,
  );
}

/** The version of Node that runs this. */
export function node(): Finding {
  const { version, versions } = process;
  return Number(versions.node.split('.')[0]) >= 22 ? fine('node', version) : broken('node', version);
}

/** What the processor is and can do. */
export function processor({ cpu: { features } }: Devices): Finding {
  const model = cpus()[0]?.model.trim() || 'unknown';
  return fine('processor', features.length === 0 ? model : `${model}: ${features.join(', ')}`);
}

/** What is left of the memory. */
export function memory({ cpu: { available_bytes } }: Devices): Finding {
  if (available_bytes === null)
    return { name: 'memory', state: 'no', value: 'what is available is not known here', notes: [] };
  return fine('memory', `${formatBytes(available_bytes)} available of ${formatBytes(totalmem())}`);
}

/** What decodes photos: JPEG, and below it the other kinds. */
export function decoder({ decoder }: Devices): Finding {
  const [jpeg = '', ...others] = decoder.split('; ');
  return { name: 'decoder', state: 'ok', value: `JPEG by ${jpeg}`, notes: others };
}

/** How fast the disk of the working folder is, by a file that is written, read back and gone. */
export async function disk(signal: AbortSignal): Promise<{ finding: Finding; speed: DiskSpeed | null }> {
  try {
    const { diskSpeed } = await import('@ilsvrc/engine');
    const speed = await diskSpeed('.', { signal });
    const { bavail, bsize } = await statfs('.');
    const rate = (bytes: number) => `${formatBytes(bytes)}/s`;
    // What came from memory says nothing of the disk.
    const read = speed.cold ? `, read at ${rate(speed.read_bytes_per_second)}` : '';
    const value = `written at ${rate(speed.write_bytes_per_second)}${read} (${formatBytes(speed.bytes)} here), ${formatBytes(bavail * bsize)} free`;
    const notes = speed.cold ? [] : ['reading was not measured: the system kept the file in memory'];
    return { finding: { name: 'disk', state: 'ok', value, notes }, speed };
  } catch (error) {
    if (!(error instanceof IlsvrcError) || signal.aborted) throw error;
    const notes = error.info === undefined ? [] : [error.info];
    return {
      finding: { name: 'disk', state: 'no', value: `${error.message} (${error.code})`, notes },
      speed: null,
    };
  }
}
