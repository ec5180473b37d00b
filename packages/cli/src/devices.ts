/** The value of `--devices`: one place for both towers, or one for each; more are for several replicas of the net, or dealt out to ranks. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { nearest } from './suggest.ts';

const isGpu = (place: string) => /^(0|[1-9]\d*)$/.test(place);
const isKnown = (place: string) => place === 'auto' || place === 'cpu' || isGpu(place);

/** `auto`, places called `cpu`, or numbers of GPUs, as a list. Whether they are there, and as many as a net can use, is seen later. */
export function devices(text: string): string[] {
  const places = text.split(',').map((place) => place.trim());
  const unknown = places.find((place) => !isKnown(place));
  if (unknown !== undefined) throw unknownDevice(unknown, places);
  if (places.length > 1 && places.includes('auto')) {
    throw refused(text, '`auto` chooses all devices itself, so it stands alone', ['auto']);
  }
  const gpus = places.filter(isGpu);
  if (gpus.length > 0 && gpus.length < places.length) {
    throw refused(text, 'all towers live on the CPU, or all on GPUs', gpus);
  }
  return places;
}

function refused(text: string, info: string, instead: string[]): IlsvrcError {
  return new IlsvrcError('E0103', `--devices cannot be \`${text}\``, {
    info,
    hint: `write \`--devices ${instead.join(',')}\``,
  });
}

function unknownDevice(name: string, places: string[]): IlsvrcError {
  const likely = places.map((place) => (isKnown(place) ? place : meant(place)));
  return new IlsvrcError('E0107', `unknown device \`${name}\``, {
    info: 'allowed: auto, cpu or cpu,cpu, numbers of GPUs, as 0 or 0,1 or 0,1,2,3',
    hint: `did you mean \`--devices ${likely.join(',')}\`? \`ilsvrc doctor\` lists the GPUs`,
  });
}

/** What an unknown name comes nearest to. Elsewhere GPUs are called `gpu`, or by their number as `cuda:1`. */
function meant(name: string): string {
  const [, number] = /^(?:gpu|cuda|nvidia)\W?(\d*)$/i.exec(name) ?? [];
  return number === undefined
    ? (nearest(name.toLowerCase(), ['auto', 'cpu']) ?? 'auto')
    : String(Number(number));
}
