/** Which part of a preparation this process is to do, when several share one. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { launchers } from './launch.ts';

/** Part `index` (from 0) of `of`. */
export interface Part {
  index: number;
  of: number;
}

type Environment = Record<string, string | undefined>;

/** The part that `3/16` means (counted from 1), or that `auto` means in this environment. */
export function parsePart(text: string, environment: Environment): Part {
  return text === 'auto' ? fromEnvironment(environment) : byHand(text);
}

function byHand(text: string): Part {
  const [, part, of] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  if (Number(part) >= 1 && Number(part) <= Number(of)) return { index: Number(part) - 1, of: Number(of) };
  throw new IlsvrcError('E0103', `--part ${text} is no part`, {
    info: 'a part is i/n with i from 1 to n, as 3/16; or auto, which takes both from Slurm, MPI or torchrun',
  });
}

function fromEnvironment(environment: Environment): Part {
  for (const { name, rank, size } of launchers) {
    const found = [environment[rank], environment[size]];
    if (found[0] === undefined && found[1] === undefined) continue;
    const [index = Number.NaN, of = Number.NaN] = found.map((text) => Number(text ?? 'nothing'));
    if (Number.isInteger(index) && Number.isInteger(of) && index >= 0 && index < of) return { index, of };
    throw new IlsvrcError('E0103', `--part auto: ${name} says rank ${found[0]} of ${found[1]}`, {
      info: `${rank} must be from 0 to ${size} - 1`,
      hint: 'say it by hand: --part 3/16',
    });
  }
  throw new IlsvrcError('E0103', '--part auto: no launcher started this process', {
    info: `looked for ${launchers.map(({ rank, size }) => `${rank} and ${size}`).join(', ')}`,
    hint: 'start it by srun, mpirun or torchrun --no-python, or say the part by hand: --part 3/16',
  });
}
